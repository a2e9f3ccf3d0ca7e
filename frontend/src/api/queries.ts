import { useQuery } from "@tanstack/react-query";
import { failure } from "./client";

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`/api${path}`, { signal: signal ?? null });
  if (!response.ok) throw await failure(response);
  return (await response.json()) as T;
}

// Placeholders until the API's description exists; then generated types.
export interface ExtractionSummary {
  name: string;
  sae: string;
  model: string;
  dataset: string;
  hookpoint: string;
  features: number;
  samples: number;
  tokens: number;
  created: string;
}

export const useExtractions = () => useQuery({ queryKey: ["extractions"], queryFn: ({ signal }) => get<ExtractionSummary[]>("/extractions", signal) });

export const useHere = () => useQuery<{ datasets: number; models: number; saes: number }>({ queryKey: ["here"], queryFn: () => Promise.reject(new Error("not yet")), enabled: false });

export interface RunningJob {
  id: string;
  title: string;
  share: number | null;
  secondsLeft: number | null;
  phase: string;
}
export const useRunningJobs = () => useQuery<RunningJob[]>({ queryKey: ["jobs", "running"], queryFn: () => Promise.reject(new Error("not yet")), enabled: false });

export const useNames = () => useQuery<{ datasets: string[]; models: string[]; saes: string[] }>({ queryKey: ["names"], queryFn: () => Promise.reject(new Error("not yet")), enabled: false });
