import { describe, expect, it } from "vitest";
import type { FireAnswer, Fired } from "../src/api/fire";
import { byToken, rank } from "../src/pages/fire/ranking";

const fired = (index: number, density: number, max: number, values: Record<number, number>, label: string | null = "x"): Fired => ({
  index, density, max, label, label_source: null, peaks_on: [], positions: Object.keys(values).map(Number), values: Object.values(values),
});
const answer = {
  tokens: ["a", "b"], token_ids: [1, 2], special: [false, false], active: 3, truncated_to: null, milliseconds: 1,
  features: [fired(1, 0.5, 10, { 0: 9, 1: 9 }), fired(2, 0.01, 4, { 1: 4 }), fired(3, 0.001, 100, { 1: 5 }, null)],
} satisfies FireAnswer;

describe("features at a token", () => {
  const at = byToken(answer)[1]!;
  const order = (by: "activation" | "share" | "rarity") => rank(at, { dense: false, labelled: false, by }).shown.map((one) => one.feature.index);
  it("are ordered by activation, share of max or rarity", () => {
    expect(order("activation")).toEqual([1, 3, 2]);
    expect(order("share")).toEqual([2, 1, 3]);
    expect(order("rarity")).toEqual([3, 2, 1]);
  });
  it("say how many each filter hid", () => {
    const ranking = rank(at, { dense: true, labelled: true, by: "activation" });
    expect(ranking.shown.map((one) => one.feature.index)).toEqual([2]);
    expect([ranking.active, ranking.hiddenDense, ranking.hiddenUnlabelled]).toEqual([3, 1, 1]);
  });
});
