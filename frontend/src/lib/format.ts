/** Numbers as people read them. Missing is "–"; the minus sign is a minus sign; a unit follows a thin space. */

const MISSING = "–";
type Maybe = number | null | undefined;
const known = (n: Maybe): n is number => n !== null && n !== undefined && Number.isFinite(n);

/** Commas between thousands, as `toLocaleString` puts them at a hundred times the cost. */
const grouped = (digits: string) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",").replace("-", "−");

export const int = (n: Maybe) => (known(n) ? grouped(String(Math.round(n))) : MISSING);

export const fixed = (n: Maybe, digits = 2) => (known(n) ? n.toFixed(digits).replace("-", "−") : MISSING);

export const percent = (share: Maybe, digits = 1) => (known(share) ? `${fixed(100 * share, digits)} %` : MISSING);

/** A density: two decimals from 0.1 %, three below, 0 for dead. */
export const density = (share: Maybe) =>
  !known(share) ? MISSING : share === 0 ? "0" : percent(share, share >= 0.001 ? 2 : 3);

/** Three figures, for axes and for values whose scale is not known. */
export function figures(n: Maybe): string {
  if (!known(n)) return MISSING;
  const size = Math.abs(n);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return n.toExponential(1).replace("e+", "e").replace("-", "−");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return Number(n.toFixed(digits)).toLocaleString("en-US", { maximumFractionDigits: 4 }).replace("-", "−");
}

export function bytes(n: Maybe): string {
  if (!known(n)) return MISSING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = n;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

export function seconds(n: Maybe): string {
  if (!known(n)) return MISSING;
  if (n < 1) return `${Math.round(n * 1000)} ms`;
  if (n < 10) return `${n.toFixed(1)} s`;
  if (n < 90) return `${Math.round(n)} s`;
  if (n < 90 * 60) return `${Math.round(n / 60)} min`;
  const hours = Math.floor(n / 3600);
  return `${hours} h ${Math.round((n - hours * 3600) / 60)} min`;
}

/** A moment: the time today, the day and month this year, else the date. */
export function moment(iso: string | null | undefined): string {
  if (!iso) return MISSING;
  const then = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(iso) ? iso : `${iso}Z`);
  if (Number.isNaN(then.getTime())) return MISSING;
  const now = new Date();
  const clock = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (then.toDateString() === now.toDateString()) return clock;
  const day = then.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return then.getFullYear() === now.getFullYear() ? `${day} ${clock}` : `${day} ${then.getFullYear()}`;
}

export const plural = (n: number, one: string, many = `${one}s`) => `${int(n)} ${n === 1 ? one : many}`;

/** A field of a spec as people write it: d_sae, b_dec and p_end are symbols. */
export const fieldName = (name: string) => (/^[a-z]_/.test(name) ? name : name.replaceAll("_", " "));
