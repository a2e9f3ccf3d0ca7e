import type { Example } from "../../api/feature";
import { fixed } from "../../lib/format";

export interface Stratum {
  id: string;
  name: string;
  range: string;
  examples: Example[];
}

const NAMES: readonly [string, string][] = [
  ["top", "Top"],
  ["q4", "75–100 %"],
  ["q3", "50–75 %"],
  ["q2", "25–50 %"],
  ["q1", "0–25 %"],
  ["none", "Not active"],
];

/** The examples by stratum, with the range of their activations; empty ones stay. */
export function strata(examples: readonly Example[]): Stratum[] {
  const known = NAMES.map(([id]) => id);
  const others = [...new Set(examples.map((one) => one.stratum))].filter((id) => !known.includes(id));
  return [...NAMES, ...others.map((id): [string, string] => [id, id])].map(([id, name]) => {
    const inside = examples.filter((one) => one.stratum === id);
    const values = inside.map((one) => one.activation);
    const range = !inside.length ? "none" : id === "none" ? "0" : `${fixed(Math.min(...values), 1)}–${fixed(Math.max(...values), 1)}`;
    return { id, name, range, examples: inside };
  });
}
