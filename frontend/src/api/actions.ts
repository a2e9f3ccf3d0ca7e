import type { QueryClient } from "@tanstack/react-query";
import { toast } from "../parts/toast";
import { failure } from "./client";
import type { FeatureDetail, LabelRow } from "./feature";
import { path, type FeaturePage } from "./features";
import type { Points } from "../pages/features/points";

/** Send a change. Answers of the API are JSON, or nothing. */
export async function send<T = unknown>(method: "POST" | "PUT" | "DELETE", address: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`/api${address}`, {
    method,
    signal: signal ?? null,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  if (!response.ok) throw await failure(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Star or not; shown at once everywhere, taken back if the server refuses. */
export async function star(client: QueryClient, extraction: string, index: number, on: boolean): Promise<void> {
  show(client, extraction, index, on);
  try {
    await send(on ? "PUT" : "DELETE", `${path(extraction)}/features/${index}/star`);
    toast(on ? `Starred ${index}` : `Removed star of ${index}`, () => void star(client, extraction, index, !on));
  } catch (error) {
    show(client, extraction, index, !on);
    toast(error instanceof Error ? `Not kept: ${error.message}` : "Not kept");
  }
}

function show(client: QueryClient, extraction: string, index: number, on: boolean): void {
  client.setQueriesData<FeaturePage>({ queryKey: ["features", extraction] }, (old) =>
    old?.features.some((row) => row.index === index) ? { ...old, features: old.features.map((row) => (row.index === index ? { ...row, starred: on } : row)) } : old,
  );
  client.setQueryData<FeatureDetail>(["feature", extraction, index], (old) => old && { ...old, starred: on });
  client.setQueryData<Points>(["points", extraction], (old) => {
    if (!old) return old;
    const starred = old.starred.slice();
    starred[index] = on ? 1 : 0;
    return { ...old, starred };
  });
}

/** A new label by you; the history keeps all others. */
export async function writeLabel(client: QueryClient, extraction: string, index: number, text: string): Promise<void> {
  await send("POST", `${path(extraction)}/features/${index}/labels`, { text });
  await relabelled(client, extraction, index);
}

/** After a label changed: the feature and every list that shows it. */
export async function relabelled(client: QueryClient, extraction: string, index: number): Promise<void> {
  await client.invalidateQueries({ queryKey: ["feature", extraction, index] });
  void client.invalidateQueries({ queryKey: ["features", extraction] });
}

export async function writeNote(client: QueryClient, extraction: string, index: number, text: string): Promise<string> {
  const note = await send<{ text: string; saved: string } | null>("PUT", `${path(extraction)}/features/${index}/note`, { text });
  client.setQueryData<FeatureDetail>(["feature", extraction, index], (old) => old && { ...old, note });
  return note?.saved ?? "";
}

/** Show another label of the history. */
export async function showLabel(client: QueryClient, extraction: string, index: number, label: LabelRow): Promise<void> {
  await send("PUT", `${path(extraction)}/features/${index}/label`, { id: label.id });
  await relabelled(client, extraction, index);
}
