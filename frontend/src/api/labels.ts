import { queryOptions, useQuery } from "@tanstack/react-query";
import { send } from "./actions";
import { jobs, type Job } from "./jobs";
import { get } from "./queries";

/** A server that writes and judges labels. */
export interface Endpoint {
  id: string;
  name: string;
  url: string;
  model: string;
  /** Where its key is: none, file, keyring or environment. The key itself never comes here. */
  key: string;
  price_in: number | null;
  price_out: number | null;
  created: string;
}

export const useEndpoints = () => useQuery({ queryKey: ["llm"], queryFn: ({ signal }) => get<Endpoint[]>("/llm", signal), retry: false });

interface Spend {
  tokens_in: number;
  tokens_out: number;
  /** Money; null where no prices are known. */
  cost: number | null;
}

/** What a labelling would ask of its LLM, and cost. */
export interface LabelEstimate extends Spend {
  endpoint: string;
  model: string;
  features: number;
  /** Features with a label of this very request: passed over. */
  kept: number;
  calls: number;
  calls_per_feature: number;
  at_most: Spend;
  budget: string | null;
  fits: boolean | null;
}

export const labelEstimate = (spec: Record<string, unknown> | null) =>
  queryOptions({
    queryKey: ["label estimate", spec],
    queryFn: ({ signal }) => send<LabelEstimate>("POST", "/estimate", { verb: "label_features", spec }, signal),
    enabled: spec !== null,
    retry: false,
    staleTime: 10_000,
  });

/** The labelling jobs of an extraction, newest first. */
export const useLabellings = (extraction: string) => useQuery({ ...jobs(), select: (all: Job[]) => all.filter((one) => one.verb === "label_features" && one.spec.extraction === extraction) });

/** Which bits of a mask are set, as `--features` has them: 0-99,512. */
export function ranges(mask: Uint8Array, count: number): string {
  const parts: string[] = [];
  for (let at = 0; at < count; at++) {
    if (!mask[at]) continue;
    const first = at;
    while (at + 1 < count && mask[at + 1]) at++;
    parts.push(first === at ? String(first) : `${first}-${at}`);
  }
  return parts.join(",");
}
