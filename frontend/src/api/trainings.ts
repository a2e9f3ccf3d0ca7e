import { queryOptions, useQueries, useQuery } from "@tanstack/react-query";
import { jobs, live, type Job } from "./jobs";
import { get } from "./queries";

/** One row of metrics: a number a field, null where a step was not measured so. */
export type Row = Record<string, number | null>;
type Columns = Record<string, (number | null)[]>;

/** One training, under way, stopped or finished. */
export interface Training {
  id: string;
  name: string;
  job: Job;
}

export interface Curve {
  rows: Row[];
  /** Steps that it can go on from. */
  checkpoints: number[];
}

/** Columns as rows. */
export function rowsOf(columns: Columns): Row[] {
  const names = Object.keys(columns);
  return (columns[names[0] ?? ""] ?? []).map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name]?.[at] ?? null])));
}

const isTraining = (job: Job) => job.verb === "train_sae" || job.verb === "train_saes";

/** The curves of a job's trainings; asked for again while it runs, and once more when it has ended. */
export const curves = (job: Job) =>
  queryOptions({
    queryKey: ["curves", job.id, job.state],
    queryFn: async ({ signal }): Promise<Curve[]> =>
      (await get<{ metrics: Columns; checkpoints: number[] }[]>(`/jobs/${encodeURIComponent(job.id)}/metrics`, signal)).map((run) => ({ rows: rowsOf(run.metrics), checkpoints: run.checkpoints })),
    refetchInterval: live(job) ? 1500 : false,
    placeholderData: (old) => old,
    retry: false,
  });

/** Every training that a job was made for, newest first. */
export function useTrainings(): Training[] {
  const all = useQuery(jobs()).data ?? [];
  return all.filter(isTraining).map((job) => ({ id: job.id, name: job.made.find((one) => one.kind === "sae")?.name ?? job.name, job }));
}

/** What is known of some trainings, in their order: a job that trains several gives several. */
export function useCurves(trainings: readonly Training[]): { name: string; id: string; curve: Curve }[] {
  const answers = useQueries({ queries: trainings.map((one) => curves(one.job)) });
  return trainings.flatMap((one, at) => (answers[at]?.data ?? []).map((curve, k) => ({ id: `${one.id}/${k}`, name: k ? `${one.name} (${k + 1})` : one.name, curve })));
}
