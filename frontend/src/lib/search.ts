/** What an address says after its "?": plain words, so that links stay readable. Every value is a string. */
export type Search = Record<string, string | undefined>;

export function parseSearch(text: string): Search {
  const found: Search = {};
  for (const [key, value] of new URLSearchParams(text)) found[key] = found[key] === undefined ? value : `${found[key]},${value}`;
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(search)) {
    if (value === undefined || value === null || value === "") continue;
    parts.push(`${encodeURIComponent(key)}=${readable(String(value))}`);
  }
  return parts.length ? `?${parts.join("&")}` : "";
}

/** Encoded only where it must be: commas, colons, slashes and comparison signs stay as they are typed. */
function readable(value: string): string {
  return encodeURIComponent(value).replace(/%(2C|3A|2F|7E|40)/gi, (found) => decodeURIComponent(found)).replace(/%20/g, "+");
}
