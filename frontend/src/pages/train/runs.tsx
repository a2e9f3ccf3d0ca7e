import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { live, share, stateOf } from "../../api/jobs";
import { useCurves, useTrainings, type Training } from "../../api/trainings";
import { fixed, int, percent, seconds } from "../../lib/format";
import { useWords } from "../../lib/hooks";
import { Status } from "../../parts/controls";
import { Actions } from "../jobs/actions";
import { Curves, MOST, Swatch } from "./curves";
import "./train.css";

const LISTED = 12;
const AT_FIRST = 4;

/** Trainings, newest first: which are drawn, how far they are, their curves over each other, and their checkpoints. */
export function Runs() {
  const [words, setWords] = useWords();
  const trainings = useTrainings().slice(0, LISTED);
  const asked = words.runs?.split(",").filter((id) => trainings.some((one) => one.id === id));
  const chosen = asked ?? trainings.slice(0, AT_FIRST).map((one) => one.id);
  const drawn = trainings.filter((one) => chosen.includes(one.id)).slice(0, MOST);
  const curves = useCurves(drawn);
  const runs = useMemo(() => curves.slice(0, MOST).map(({ id, name, curve }) => ({ id, name, rows: curve.rows })), [curves.map((one) => `${one.id}:${one.curve.rows.length}:${one.curve.rows.at(-1)?.step}`).join()]);
  const toggle = (id: string, on: boolean) => setWords({ runs: trainings.map((one) => one.id).filter((each) => (each === id ? on : chosen.includes(each))).join(",") || "none" });
  if (!trainings.length) return <p className="dim sm pad">No training yet. What you start here is drawn here while it runs: loss, FVU, L0, dead features, tokens a second.</p>;
  const lineOf = (one: Training) => {
    const at = runs.findIndex((run) => run.id === `${one.id}/0`);
    return { at, last: at < 0 ? undefined : runs[at]?.rows.at(-1) };
  };
  const kept = curves.filter((one) => one.curve.checkpoints.length > 0);
  return (
    <>
      <div className="things">
        <table className="table runtable" aria-label="Trainings">
          <thead><tr><th>Run</th><th>Status</th><th className="r">Step</th><th className="r">FVU</th><th className="r wide">L0</th><th className="r wide">Dead</th><th className="r wide">Left</th><th><span className="sr">Actions</span></th></tr></thead>
          <tbody>
            {trainings.map((one) => {
              const { at, last } = lineOf(one);
              return (
                <tr key={one.id}>
                  <td title={one.name}>
                    <span className="row">
                      <input type="checkbox" aria-label={`Draw ${one.name}`} checked={chosen.includes(one.id)} disabled={!chosen.includes(one.id) && drawn.length >= MOST} onChange={(event) => toggle(one.id, event.target.checked)} />
                      {at >= 0 ? <Swatch at={at} /> : <span className="swatch" />}
                      <Link className="cut" to="/jobs/$id" params={{ id: one.id }}><b>{one.name}</b></Link>
                    </span>
                  </td>
                  <td><Status state={stateOf(one.job)} text={one.job.state === "running" && share(one.job) !== null ? `running, ${percent(share(one.job), 0)}` : stateOf(one.job)} /></td>
                  <td className="num">{int(last?.step)}</td>
                  <td className="num">{fixed(last?.fvu, 3)}</td>
                  <td className="num wide">{fixed(last?.l0, 1)}</td>
                  <td className="num wide">{int(last?.dead)}</td>
                  <td className="num wide">{live(one.job) ? seconds(one.job.progress?.seconds_left) : ""}</td>
                  <td className="r"><Actions job={one.job} /></td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {runs.length > 0 && <Curves runs={runs} />}
      {kept.length > 0 && (
        <section className="checkpoints">
          <h2>Checkpoints</h2>
          <p className="xs dim">A stopped training goes on from the newest one that is whole; the one before is kept against damage.</p>
          <ul>{kept.map((one) => <li key={one.id}><b>{one.name}</b>{[...one.curve.checkpoints].reverse().map((step) => <span key={step} className="num">step {int(step)}</span>)}</li>)}</ul>
        </section>
      )}
    </>
  );
}
