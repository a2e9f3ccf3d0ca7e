import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Fragment, lazy, Suspense, useEffect, useState } from "react";
import { job as jobQuery, jobs as jobsQuery, kindOf, live, share, stateOf, useJobEvents, type Job as JobRow, type JobDetail } from "../../api/jobs";
import { bytes, fieldName, figures, int, moment, percent, seconds } from "../../lib/format";
import { useKeys } from "../../lib/keys";
import { Bar, Button, Status } from "../../parts/controls";
import { Page } from "../../parts/page";
import { Empty, Failure, Loading } from "../../parts/states";
import { Actions, resumable, useActions } from "./actions";

const JobCurves = lazy(() => import("./curves").then((part) => ({ default: part.JobCurves })));

const when = (time: number | null) => (time === null ? null : new Date(time * 1000).toISOString());

function dayOf(job: JobRow): string {
  if (live(job)) return "Now";
  const made = new Date(job.created * 1000);
  const days = Math.floor((new Date().setHours(0, 0, 0, 0) - new Date(made).setHours(0, 0, 0, 0)) / 86_400_000);
  return days === 0 ? "Today" : days === 1 ? "Yesterday" : made.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

/** Seconds since a job began; it counts on while it runs. */
function useElapsed(job: JobRow): number | null {
  const [now, setNow] = useState(Date.now() / 1000);
  const running = job.state === "running";
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return job.started === null ? null : Math.max(0, (job.ended ?? now) - job.started);
}

export function Jobs() {
  const answer = useQuery(jobsQuery());
  const groups = new Map<string, JobRow[]>();
  const all = [...(answer.data ?? [])].sort((a, b) => Number(live(b)) - Number(live(a)) || b.created - a.created);
  for (const job of all) groups.set(dayOf(job), [...(groups.get(dayOf(job)) ?? []), job]);
  return (
    <Page title="Jobs">
      <Loading busy={answer.isPending} />
      {answer.isError && <Failure error={answer.error} retry={() => void answer.refetch()} />}
      {answer.data?.length === 0 && (
        <Empty title="Nothing has run here" actions={<><Link className="btn" to="/datasets" search={{ add: "1" } as never}>Add a dataset</Link><Link className="btn" to="/train">Train</Link><Link className="btn" to="/extract">Extract</Link></>}>
          What takes longer than a moment becomes a job: it goes on when this page is closed, and can be stopped and resumed.
        </Empty>
      )}
      {groups.size > 0 && (
        <div className="page">
          <div className="things">
            <table className="table jobs" aria-label="Jobs">
              <thead><tr><th>Job</th><th>Status</th><th className="wide">Phase</th><th className="r">Done</th><th className="r wide">Left</th><th className="r wide">Elapsed</th><th className="r wide">Started</th><th><span className="sr">Actions</span></th></tr></thead>
              {[...groups].map(([day, rows]) => (
                <tbody key={day}>
                  <tr className="group"><th colSpan={8} scope="rowgroup">{day}</th></tr>
                  {rows.map((job) => <Row key={job.id} job={job} />)}
                </tbody>
              ))}
            </table>
          </div>
        </div>
      )}
    </Page>
  );
}

function Row({ job }: { job: JobRow }) {
  const elapsed = useElapsed(job);
  return (
    <Fragment>
      <tr>
        <td title={job.name}><Link to="/jobs/$id" params={{ id: job.id }}><span className="dim">{kindOf(job)}</span> <b>{job.name}</b></Link></td>
        <td><Status state={stateOf(job)} /></td>
        <td className="soft wide">{live(job) ? (job.progress?.phase ?? "") : ""}</td>
        <td className="num">{live(job) ? percent(share(job), 0) : ""}</td>
        <td className="num wide">{live(job) ? seconds(job.progress?.seconds_left) : ""}</td>
        <td className="num wide">{seconds(elapsed)}</td>
        <td className="num wide">{moment(when(job.started ?? job.created))}</td>
        <td className="r"><Actions job={job} /></td>
      </tr>
      {job.state === "failed" && job.error && (
        <tr className="why"><td colSpan={8}><span className="bad">△ {job.error.message}</span>{job.error.hint && <span className="dim">; {job.error.hint}</span>}</td></tr>
      )}
    </Fragment>
  );
}

const PAGES: Record<string, (name: string) => string> = {
  dataset: (name) => `/datasets/${encodeURIComponent(name)}`,
  model: (name) => `/models/${encodeURIComponent(name)}`,
  sae: (name) => `/saes/${encodeURIComponent(name)}`,
  extraction: (name) => `/features/${encodeURIComponent(name)}`,
};

export function Job() {
  const { id } = useParams({ strict: false }) as { id: string };
  const answer = useQuery(jobQuery(id));
  const job = answer.data;
  useJobEvents(id, job !== undefined && live(job));
  return (
    <Page crumbs={[{ text: "Jobs", to: "/jobs" }]} title={job ? `${kindOf(job)} ${job.name}` : "Job"} actions={job && <Actions job={job} big />}>
      <Loading busy={answer.isFetching} />
      {answer.isError && <Failure error={answer.error} retry={() => void answer.refetch()} />}
      {job && <Detail job={job} />}
    </Page>
  );
}

/** A value that may be thousands of indices long. */
const short = (text: string) => (text.length > 400 ? `${text.slice(0, 400)}… (${int(text.length)} characters)` : text);

function Detail({ job }: { job: JobDetail }) {
  const elapsed = useElapsed(job);
  const navigate = useNavigate();
  const { cancel, resume } = useActions(job);
  const progress = job.progress;
  useKeys("Job", [
    { keys: ["c"], label: "Cancel a running job", run: () => live(job) && cancel.mutate() },
    { keys: ["r"], label: "Resume", run: () => resumable(job) && resume.mutate() },
    { keys: ["Enter"], label: "Open what it made", run: () => { const made = job.made[0]; const page = made && PAGES[made.kind]; if (made && page) void navigate({ to: page(made.name) as "/" }); } },
  ]);
  const silent = job.heartbeat === null ? null : Date.now() / 1000 - job.heartbeat;
  return (
    <div className="page job">
      <div className="row wrap">
        <Status state={stateOf(job)} />
        {live(job) && <span className="bignum">{percent(share(job), 0)}</span>}
        {live(job) && progress && <span className="soft">{progress.phase}{progress.total ? `: ${int(progress.done)} of ${int(progress.total)} ${progress.unit}` : ` ${int(progress.done)} ${progress.unit}`}</span>}
        {job.state === "queued" && <span className="dim">waits for its turn; one job at a time has the device</span>}
        <span className="grow" />
        {live(job) && progress?.seconds_left != null && <span className="soft">{seconds(progress.seconds_left)} left</span>}
      </div>
      {live(job) && <Bar share={job.state === "queued" ? 0 : share(job)} label={`${kindOf(job)} ${job.name}`} />}
      {job.state === "failed" && job.error && <Failure error={new Error(`${job.error.message}${job.error.hint ? `; ${job.error.hint}` : ""}`)} title={job.error.message} safe={job.error.hint} actions={<Button look="primary" onClick={() => resume.mutate()} disabled={resume.isPending}>Resume</Button>} />}
      {job.verb === "label_features" && typeof job.spec.extraction === "string" && (
        <div className="row"><Link className="btn" to={PAGES.extraction!(job.spec.extraction) as "/"}>Open features of {job.spec.extraction}</Link></div>
      )}
      {job.made.length > 0 && (
        <div className="row wrap">
          {job.made.map((made) => (PAGES[made.kind] ? <Link key={made.id} className="btn primary" to={PAGES[made.kind]!(made.name) as "/"}>{made.kind === "extraction" ? "Open features of" : "Open"} {made.name}</Link> : null))}
        </div>
      )}
      <dl className="figures">
        <div><dt>rate</dt><dd>{progress?.rate ? `${figures(progress.rate)} ${progress.unit}/s` : "–"}</dd></div>
        <div><dt>memory</dt><dd>{bytes(progress?.memory_bytes)}</dd></div>
        <div><dt>elapsed</dt><dd>{seconds(elapsed)}</dd></div>
        <div><dt>started</dt><dd>{moment(when(job.started))}</dd></div>
        <div><dt>attempt</dt><dd>{int(job.attempt)}</dd></div>
        {typeof job.spec.vectorization_batch_size !== "undefined" && <div><dt>batch size</dt><dd>{String(job.spec.vectorization_batch_size)}</dd></div>}
        {job.state === "running" && silent !== null && <div><dt>last sign of life</dt><dd className={silent > 10 ? "warn" : ""}>{silent < 2 ? "now" : `${seconds(silent)} ago`}</dd></div>}
      </dl>
      {job.verb === "train_sae" && <Suspense><JobCurves job={job} /></Suspense>}
      <section>
        <h2>Log</h2>
        {job.lines.length ? <Log lines={job.lines} /> : <p className="dim sm">{live(job) ? "Nothing said yet." : "It had nothing to say."}</p>}
      </section>
      <section>
        <h2>Asked for</h2>
        <dl className="defs">
          {Object.entries(job.spec).filter(([, value]) => value !== null).map(([name, value]) => <Fragment key={name}><dt>{fieldName(name)}</dt><dd className="mono">{short(typeof value === "object" ? JSON.stringify(value) : String(value))}</dd></Fragment>)}
          <dt>id</dt><dd className="mono">{job.id}</dd>
        </dl>
      </section>
      {job.result && <details><summary className="sm soft">What it answered</summary><pre className="logbox">{JSON.stringify(job.result, null, 2)}</pre></details>}
    </div>
  );
}

function Log({ lines }: { lines: JobDetail["lines"] }) {
  return (
    <div className="logbox" role="log" tabIndex={0} aria-label="Log" ref={(element) => { if (element) element.scrollTop = element.scrollHeight; }}>
      {lines.map((line) => <div key={line.id}>{line.text}</div>)}
    </div>
  );
}
