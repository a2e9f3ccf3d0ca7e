import { useMemo } from "react";
import type { JobDetail } from "../../api/jobs";
import { useCurves } from "../../api/trainings";
import { Curves, MOST } from "../train/curves";
import "../train/train.css";

/** The curves of one job's trainings. */
export function JobCurves({ job }: { job: JobDetail }) {
  const trainings = useMemo(() => [{ id: job.id, name: job.made[0]?.name ?? job.name, job }], [job]);
  const curves = useCurves(trainings);
  const runs = useMemo(() => curves.slice(0, MOST).map(({ id, name, curve }) => ({ id, name, rows: curve.rows })), [curves.map((one) => `${one.id}:${one.curve.rows.length}`).join()]);
  return runs.length ? <Curves runs={runs} /> : null;
}
