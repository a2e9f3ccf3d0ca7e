import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { placed, type Points } from "../pages/features/points";
import { failure } from "./client";
import { get } from "./queries";

/** One feature in a list. */
export interface FeatureRow {
  index: number;
  density: number;
  active_tokens: number;
  active_samples: number;
  max: number;
  mean: number;
  dead: boolean;
  starred: boolean;
  label: string | null;
  label_source: string | null;
  score: number | null;
  /** The lower end of detection's interval. */
  detection_low: number | null;
  peaks_on: string[];
  writes: string[];
  histogram: number[];
}

export interface FeaturePage {
  total: number;
  matching: number;
  position: number | null;
  features: FeatureRow[];
}

/** Which features, in which order. */
export interface Query {
  where?: string | undefined;
  search?: string | undefined;
  sort?: string | undefined;
}

export const PAGE = 100;

export const path = (extraction: string) => `/extractions/${encodeURIComponent(extraction)}`;

export function asked(query: Query, more: Record<string, string | number | undefined> = {}): string {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries({ ...query, ...more })) if (value !== undefined && value !== "") words.set(key, String(value));
  const text = words.toString();
  return text ? `?${text}` : "";
}

export const featurePage = (extraction: string, query: Query, page: number) =>
  queryOptions({
    queryKey: ["features", extraction, query, page],
    queryFn: ({ signal }) => get<FeaturePage>(`${path(extraction)}/features${asked(query, { offset: page * PAGE, limit: PAGE })}`, signal),
    staleTime: 60_000,
  });

/** How many match, without reading any. */
export const featureCount = (extraction: string, query: Query) =>
  queryOptions({
    queryKey: ["features", extraction, query, "count"],
    queryFn: ({ signal }) => get<FeaturePage>(`${path(extraction)}/features${asked(query, { limit: 0 })}`, signal),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });

/** Where one feature stands in the list, to open the list there. */
export const featurePosition = (extraction: string, query: Query, index: number) =>
  queryOptions({
    queryKey: ["features", extraction, query, "position", index],
    queryFn: ({ signal }) => get<FeaturePage>(`${path(extraction)}/features${asked(query, { limit: 0, around: index })}`, signal),
    staleTime: 60_000,
  });

async function bytesOf(address: string, signal: AbortSignal): Promise<ArrayBuffer> {
  const response = await fetch(`/api${address}`, { signal });
  if (!response.ok) throw await failure(response);
  return response.arrayBuffer();
}

export const points = (extraction: string) =>
  queryOptions({
    queryKey: ["points", extraction],
    queryFn: async ({ signal }): Promise<Points> => {
      const buffer = await bytesOf(`${path(extraction)}/points`, signal);
      const n = buffer.byteLength / 17;
      const column = (at: number) => new Float32Array(buffer, 4 * n * at, n);
      return placed({ density: column(0), max: column(1), mean: column(2), score: column(3), starred: new Uint8Array(buffer, 16 * n, n) });
    },
    staleTime: 300_000,
  });

/** Which features match: one byte each, 1 or 0. */
export const held = (extraction: string, query: Query) =>
  queryOptions({
    queryKey: ["held", extraction, query.where, query.search],
    enabled: Boolean(query.where ?? query.search),
    queryFn: async ({ signal }): Promise<Uint8Array> => {
      const mask = new Uint8Array(await bytesOf(`${path(extraction)}/matching${asked({ where: query.where, search: query.search })}`, signal));
      const bits = new Uint8Array(mask.length * 8);
      for (let at = 0; at < bits.length; at++) bits[at] = (mask[at >> 3]! >> (at & 7)) & 1;
      return bits;
    },
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });

/** Features by index, label or top token; an index comes first. */
export const featureSearch = (extraction: string, text: string, limit: number) =>
  queryOptions({
    queryKey: ["features", extraction, "search", text, limit],
    queryFn: async ({ signal }): Promise<FeaturePage> => {
      const words = text.trim().replace(/^#/, "");
      const found = await get<FeaturePage>(`${path(extraction)}/features${asked({ search: words || undefined, sort: "-detection_low" }, { limit })}`, signal);
      const index = Number(words);
      if (!/^\d+$/.test(words) || index >= found.total) return found;
      const exact = await get<FeaturePage>(`${path(extraction)}/features${asked({ where: `index=${index}` }, { limit: 1 })}`, signal);
      return { ...found, features: [...exact.features, ...found.features.filter((row) => row.index !== index)] };
    },
    staleTime: 60_000,
  });
