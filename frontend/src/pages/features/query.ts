import type { Query } from "../../api/features";
import type { Search } from "../../lib/search";
import { figures } from "../../lib/format";
import { joined } from "../../lib/where";
import type { Box } from "./points";

/** The brush as the address has it: lowest and highest density, lowest and highest max. */
export function brushOf(text: string | undefined): Box | null {
  const numbers = text?.split(",").map(Number) ?? [];
  if (numbers.length !== 4 || numbers.some((number) => !(number > 0))) return null;
  const [d0, d1, m0, m1] = numbers as [number, number, number, number];
  return { x0: Math.log10(d0), x1: Math.log10(d1), y0: Math.log10(m0), y1: Math.log10(m1) };
}

const short = (power: number) => String(Number((10 ** power).toPrecision(3)));

export const brushText = (box: Box | null) => (box ? [box.x0, box.x1, box.y0, box.y1].map(short).join(",") : undefined);

/** As two chips: name and range. */
export function brushClauses(box: Box): [string, string][] {
  const [d0, d1, m0, m1] = [box.x0, box.x1, box.y0, box.y1].map((power) => Number(short(power))) as [number, number, number, number];
  return [
    ["density", `${figures(100 * d0)} – ${figures(100 * d1)} %`],
    ["max", `${figures(m0)} – ${figures(m1)}`],
  ];
}

export function sortOf(text: string | undefined): { field: string; down: boolean }[] {
  if (!text) return [];
  return text.split(",").filter(Boolean).slice(0, 2).map((part) => ({ field: part.replace(/^-/, ""), down: part.startsWith("-") }));
}

/** What the address says, as the API is asked. */
export function queryOf(words: Search): Query {
  const box = brushOf(words.brush);
  const parts = words.where ? [words.where] : [];
  if (box) {
    const [d0, d1, m0, m1] = [box.x0, box.x1, box.y0, box.y1].map(short);
    parts.push(`density>=${d0}`, `density<=${d1}`, `max>=${m0}`, `max<=${m1}`);
  }
  return { where: joined(parts), search: words.q || undefined, sort: words.sort || undefined };
}
