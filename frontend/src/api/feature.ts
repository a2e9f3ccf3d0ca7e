import { queryOptions } from "@tanstack/react-query";
import { path } from "./features";
import { get } from "./queries";

export interface Score {
  value: number | null;
  n?: number;
  low?: number | null;
  high?: number | null;
  chance?: number | null;
  failed?: number;
}

export interface LabelRow {
  id?: number;
  text: string;
  source: string;
  model: string | null;
  created: string;
  clarity?: number | null;
  current?: boolean;
  scores: Record<string, Score>;
  prompt?: string | null;
  samples?: number[];
  detail?: Record<string, unknown>;
}

export interface Example {
  stratum: string;
  sample: number;
  peak: number;
  activation: number;
  start: number;
  token_ids: number[];
  tokens: string[];
  activations: number[];
  top_positions: number[];
  document?: string | null;
}

export interface Written {
  token: string;
  id: number;
  logit: number;
}

export interface FeatureDetail {
  extraction: string;
  sae: string;
  index: number;
  density: number;
  active_tokens: number;
  active_samples: number;
  max: number;
  mean: number;
  second_moment: number;
  dead: boolean;
  label: string | null;
  label_source?: string | null;
  score?: number | null;
  starred: boolean;
  note: { text: string; saved: string } | null;
  histogram: { edges: number[]; counts: number[] };
  writes_most: Written[];
  writes_least: Written[];
  neighbors: { index: number; cosine: number; label: string | null }[];
  labels: LabelRow[];
  examples: Example[];
}

export const feature = (extraction: string, index: number) =>
  queryOptions({
    queryKey: ["feature", extraction, index],
    queryFn: ({ signal }) => get<FeatureDetail>(`${path(extraction)}/features/${index}`, signal),
    staleTime: 60_000,
  });
