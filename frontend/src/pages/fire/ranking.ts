import type { FireAnswer, Fired } from "../../api/fire";

export type By = "activation" | "share" | "rarity";

export interface Filters {
  /** Leave out features active on more than this share of tokens. */
  dense: boolean;
  labelled: boolean;
  by: By;
}

export const DENSE = 0.02;

export interface Ranked {
  feature: Fired;
  value: number;
}

export interface Ranking {
  shown: Ranked[];
  active: number;
  hiddenDense: number;
  hiddenUnlabelled: number;
}

/** Activations by token: which features, how strongly. */
export function byToken(answer: FireAnswer): Ranked[][] {
  const found: Ranked[][] = answer.tokens.map(() => []);
  for (const feature of answer.features) feature.positions.forEach((position, k) => found[position]?.push({ feature, value: feature.values[k] ?? 0 }));
  return found;
}

/** The features active at one token, filtered and in order. */
export function rank(active: readonly Ranked[], { dense, labelled, by }: Filters): Ranking {
  let hiddenDense = 0;
  let hiddenUnlabelled = 0;
  const shown = active.filter(({ feature }) => {
    if (dense && feature.density > DENSE) {
      hiddenDense++;
      return false;
    }
    if (labelled && !feature.label) {
      hiddenUnlabelled++;
      return false;
    }
    return true;
  });
  const worth = ({ feature, value }: Ranked) => (by === "activation" ? value : by === "share" ? value / (feature.max || Infinity) : -feature.density);
  shown.sort((a, b) => worth(b) - worth(a) || a.feature.index - b.feature.index);
  return { shown, active: active.length, hiddenDense, hiddenUnlabelled };
}
