import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { State } from "../parts/controls";
import { send } from "./actions";
import { get } from "./queries";

/** One request that a worker carries out, or carried out. Times in seconds since 1970. */
export interface Job {
  id: string;
  verb: string;
  name: string;
  spec: Record<string, unknown>;
  lane: string;
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled";
  attempt: number;
  cancel: boolean;
  made: { kind: string; id: string; name: string }[];
  progress: Progress | null;
  result: Record<string, unknown> | null;
  error: { kind: string; message: string; hint: string } | null;
  created: number;
  started: number | null;
  ended: number | null;
  heartbeat: number | null;
}

export interface Progress {
  phase: string;
  done: number;
  total: number | null;
  unit: string;
  note?: string;
  rate?: number | null;
  seconds_left?: number | null;
  memory_bytes?: number | null;
}

export interface Line {
  id: number;
  created: number | string;
  text: string;
}

export interface JobDetail extends Job {
  lines: Line[];
}

export const live = (job: Job) => job.state === "queued" || job.state === "running";

export const share = (job: Job): number | null => (job.progress?.total ? Math.min(1, job.progress.done / job.progress.total) : null);

/** Seconds without a sign of life after which a running job is called stalled. */
const SILENCE = 10;

export function stateOf(job: Job, now = Date.now() / 1000): State {
  if (job.state === "succeeded") return "done";
  if (job.state === "running" && job.cancel) return "cancelling";
  if (job.state === "running" && job.heartbeat !== null && now - job.heartbeat > SILENCE) return "stalled";
  return job.state;
}

const VERBS: Record<string, string> = {
  add_dataset: "Dataset",
  add_model: "Model",
  add_sae: "SAE",
  train_sae: "Train",
  train_saes: "Train",
  extract_features: "Extract",
  label_features: "Label",
};
export const kindOf = (job: Job) => VERBS[job.verb] ?? job.verb.replaceAll("_", " ");

export const jobs = () =>
  queryOptions({
    queryKey: ["jobs"],
    queryFn: ({ signal }) => get<Job[]>("/jobs?limit=100", signal),
    refetchInterval: (query) => (query.state.data?.some(live) ? 1500 : 15_000),
    retry: false,
  });

export const job = (id: string) =>
  queryOptions({ queryKey: ["job", id], queryFn: ({ signal }) => get<JobDetail>(`/jobs/${encodeURIComponent(id)}`, signal), retry: false });

/** What is running now, for the rail. */
export const useRunningJobs = () => useQuery({ ...jobs(), select: (all) => all.filter((one) => one.state === "running") });

/** Keep one job's page current while it runs; what it made is read anew when it ends. */
export function useJobEvents(id: string, on: boolean): void {
  const client = useQueryClient();
  useEffect(() => {
    if (!on) return;
    const source = new EventSource(`/api/jobs/${encodeURIComponent(id)}/events`);
    const take = (change: (old: JobDetail) => JobDetail) => client.setQueryData<JobDetail>(["job", id], (old) => old && change(old));
    source.addEventListener("job", (event) => {
      const fresh = JSON.parse(event.data as string) as Job;
      take((old) => ({ ...old, ...fresh, lines: old.lines }));
      if (!live(fresh)) {
        source.close();
        void client.invalidateQueries();
      }
    });
    source.addEventListener("line", (event) => {
      const line = JSON.parse(event.data as string) as Line;
      take((old) => (old.lines.some((each) => each.id === line.id) ? old : { ...old, lines: [...old.lines, line].slice(-500) }));
    });
    return () => source.close();
  }, [id, on, client]);
}

export const startJob = (verb: string, spec: Record<string, unknown>) => send<Job>("POST", "/jobs", { verb, spec });
export const cancelJob = (id: string) => send<Job>("POST", `/jobs/${encodeURIComponent(id)}/cancel`);
export const resumeJob = (id: string) => send<Job>("POST", `/jobs/${encodeURIComponent(id)}/resume`);
