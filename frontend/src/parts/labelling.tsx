import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useLabellings } from "../api/labels";
import { live, share, stateOf, type Job } from "../api/jobs";
import { int, percent, plural, seconds } from "../lib/format";
import { Bar, IconButton, Status } from "./controls";

/** The labellings of an extraction that are under way, and how those ended that were seen here. */
export function Labellings({ extraction }: { extraction: string }) {
  const all = useLabellings(extraction).data ?? [];
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set());
  const now = all.filter(live).map((one) => one.id).join();
  useEffect(() => {
    if (now) setSeen((old) => new Set([...old, ...now.split(",")]));
  }, [now]);
  const shown = all.filter((one) => live(one) || seen.has(one.id));
  return (
    <div className="labellings" aria-live="polite">
      {shown.map((one) => <Line key={one.id} job={one} onClose={() => setSeen((old) => new Set([...old].filter((id) => id !== one.id)))} />)}
    </div>
  );
}

interface Answered {
  labelled?: number;
  kept?: number;
  failed?: number;
  stopped?: string | null;
}

function Line({ job, onClose }: { job: Job; onClose: () => void }) {
  const going = live(job);
  useFreshLabels(job);
  const { progress, error } = job;
  const result = job.result as Answered | null;
  const written = result ? (result.labelled ?? 0) - (result.kept ?? 0) : 0;
  return (
    <div className="labelling">
      <Status state={stateOf(job)} />
      <Link className="acc" to="/jobs/$id" params={{ id: job.id }}>Label job</Link>
      {going ? (
        <>
          <Bar share={job.state === "queued" ? 0 : share(job)} label={`Label ${job.name}`} />
          <span className="soft">{progress?.total ? `${int(progress.done)} of ${plural(progress.total, "feature")}, ${percent(share(job), 0)}` : job.state === "queued" ? "waits for its turn" : "begins"}</span>
          {progress?.seconds_left != null && <span className="dim">{seconds(progress.seconds_left)} left</span>}
          {progress?.note && <span className="dim cut">{progress.note}</span>}
        </>
      ) : (
        <>
          {result && (
            <span className="soft">
              {plural(written, "label")} written{result.kept ? `, ${int(result.kept)} from before kept` : ""}{result.failed ? `, ${int(result.failed)} without an answer that could be read` : ""}{result.stopped ? `; ${result.stopped}` : ""}
            </span>
          )}
          {error && <span className="bad">{error.message}{error.hint && <span className="dim">; {error.hint}</span>}</span>}
          <span className="grow" />
          <IconButton icon="x" label="Put away" small onClick={onClose} />
        </>
      )}
    </div>
  );
}

const REST = 5000;

/** While labels are written, what shows them is read anew now and then, and once more at the end. */
function useFreshLabels(job: Job): void {
  const client = useQueryClient();
  const last = useRef(Date.now());
  const going = live(job);
  const was = useRef(going);
  const done = job.progress?.done ?? 0;
  useEffect(() => {
    const over = was.current && !going;
    was.current = going;
    if (!over && (!going || Date.now() - last.current < REST)) return;
    last.current = Date.now();
    void client.invalidateQueries({ predicate: ({ queryKey: [what, of] }) => of === job.spec.extraction && (over || what !== "points") });
  }, [done, going, client, job.spec.extraction]);
}
