import { queryOptions, useQuery } from "@tanstack/react-query";
import { failure } from "./client";

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`/api${path}`, { signal: signal ?? null });
  if (!response.ok) throw await failure(response);
  return (await response.json()) as T;
}

export interface Extraction {
  id: string;
  name: string;
  sae: string;
  model: string;
  dataset: string;
  hookpoint: string;
  samples: number;
  tokens: number;
  features: number;
  context: number;
  top_k: number;
  created: string;
  provenance?: { probe?: { fvu?: number; l0?: number } };
}

export interface Dataset {
  id: string;
  name: string;
  source: string;
  text_field: string | null;
  documents: number;
  characters: number;
  created: string;
}

export interface Model {
  id: string;
  name: string;
  source: string;
  dtype: string;
  quantize: string;
  family: string;
  layers: number;
  d_model: number;
  context: number;
  vocabulary: number;
  hookpoints: Record<string, number>;
  created: string;
}

export interface Sae {
  id: string;
  name: string;
  kind: string;
  d_in: number;
  d_sae: number;
  model: string;
  hookpoint: string;
  source: string;
  metrics: Record<string, number | null>;
  created: string;
}

const list = <T>(what: string) => queryOptions({ queryKey: [what], queryFn: ({ signal }) => get<T[]>(`/${what}`, signal), staleTime: 10_000 });
export const extractions = list<Extraction>("extractions");
export const datasets = list<Dataset>("datasets");
export const models = list<Model>("models");
export const saes = list<Sae>("saes");

export const useExtractions = () => useQuery(extractions);
export const useDatasets = () => useQuery(datasets);
export const useModels = () => useQuery(models);
export const useSaes = () => useQuery(saes);

/** A JSON schema of one spec, as far as forms need it. */
export interface Field {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: string[];
  const?: string;
  anyOf?: Field[];
  items?: Field;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}
export interface Schema {
  title: string;
  description: string;
  required?: string[];
  properties: Record<string, Field>;
}

export const schema = (verb: string) => queryOptions({ queryKey: ["schema", verb], queryFn: ({ signal }) => get<Schema>(`/specs/${verb}`, signal), staleTime: Infinity });
