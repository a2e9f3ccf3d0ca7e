/** Conditions on features as `--where` has them, split into single ones: each is a chip. */

export function clauses(where: string | undefined): string[] {
  if (!where) return [];
  const found: string[] = [];
  let rest = where.trim();
  const one = /^\s*((?:not\s+)?[A-Za-z_]\w*\s*(?:(?:<=|>=|!=|==|=|<|>|~)\s*(?:"[^"]*"|'[^']*'|[^\s,]+))?)\s*(?:,|and\b|$)\s*/i;
  while (rest) {
    const match = one.exec(rest);
    if (!match?.[1]) return [...found, rest];
    found.push(match[1].trim());
    rest = rest.slice(match[0].length);
  }
  return found;
}

export const joined = (parts: readonly string[]) => parts.join(" and ") || undefined;

const WORDS: Record<string, string> = { active_tokens: "active tokens", active_samples: "samples", second_moment: "second moment", label_source: "written by", detection_low: "score at least" };

/** A field as people say it. */
export const fieldName = (field: string) => WORDS[field] ?? field;

/** A clause as a chip reads: name and value. */
export function spoken(clause: string): [string, string] {
  const flag = /^(not\s+)?([A-Za-z_]\w*)$/i.exec(clause);
  if (flag) return [fieldName(flag[2]!), flag[1] ? "no" : "yes"];
  const match = /^([A-Za-z_]\w*)\s*(<=|>=|!=|==|=|<|>|~)\s*(.*)$/.exec(clause);
  if (!match) return [clause, ""];
  const [, field, op, raw] = match as unknown as [string, string, string, string];
  const value = raw.replace(/^["']|["']$/g, "");
  const sign = { "<=": "≤ ", ">=": "≥ ", "!=": "≠ ", "<": "< ", ">": "> ", "=": "", "==": "", "~": "" }[op] ?? op;
  const number = Number(value);
  const shown = field === "density" && Number.isFinite(number) ? `${Number((100 * number).toPrecision(3))} %` : op === "~" ? `“${value}”` : value;
  return [fieldName(field), sign + shown];
}

/** What was typed into "add filter", made a clause: `density < 1%` and `dead: no` are understood too. */
export function typed(text: string): string {
  const trimmed = text.trim().replace(/\s+/g, " ");
  const colon = /^([A-Za-z_]\w*)\s*:\s*(yes|no)$/i.exec(trimmed);
  if (colon) return colon[2]!.toLowerCase() === "no" ? `not ${colon[1]}` : colon[1]!;
  return trimmed
    .replace(/\s*(<=|>=|!=|==|=|<|>|~|≤|≥)\s*/, "$1")
    .replace(/([\d.]+)\s*%$/, (_, number: string) => String(Number(number) / 100)).replace(/≤/g, "<=").replace(/≥/g, ">=");
}
