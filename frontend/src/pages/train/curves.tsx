import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Row } from "../../api/trainings";
import { figures, int } from "../../lib/format";
import { useWords } from "../../lib/hooks";
import { smooth } from "../../lib/smooth";
import { token, useShownTheme } from "../../lib/theme";
import { useSize } from "../../lib/width";
import { Checkbox, Segment } from "../../parts/controls";

export interface Run {
  id: string;
  name: string;
  rows: readonly Row[];
}

type Along = "step" | "tokens";
interface View {
  x: Along;
  logX: boolean;
  logY: boolean;
  keep: number;
}

const PLOTS: readonly [key: string, title: string, unit: string][] = [
  ["fvu", "FVU", "variance left unexplained"],
  ["loss", "Loss", ""],
  ["l0", "L0", "active features a token"],
  ["dead", "Dead features", ""],
  ["ce_recovered", "CE recovered", "1 is all of it"],
  ["tokens_per_second", "Tokens a second", ""],
  ["lr", "Learning rate", ""],
];

/** Measured batch by batch, so that a mean says more; the others are what they are. */
const NOISY = new Set(["fvu", "loss", "l0", "tokens_per_second"]);
/** Rows from which on the smoothing chosen is applied as it is: short runs are smoothed less. */
const LONG = 100;

const INKS = ["--accent", "--pos", "--series-2", "--series-3"] as const;
const DASHES: readonly number[][] = [[], [5, 3], [1.5, 3], [6, 3, 1.5, 3]];
/** At most so many runs are drawn over each other: four inks, then the same with hollow marks. */
export const MOST = 8;

const inkOf = (at: number) => INKS[at % 4] ?? "--accent";

/** A run's line, as in the plots: ink, dash, and a ring from the fifth on. */
export const Swatch = ({ at }: { at: number }) => (
  <svg className="swatch" width={22} height={8} aria-hidden="true">
    <path d="M0 4h22" stroke={`var(${inkOf(at)})`} strokeWidth={2} strokeDasharray={DASHES[at % 4]?.join(" ")} fill="none" />
    {at >= 4 && <circle cx={11} cy={4} r={2.5} fill="var(--panel)" stroke={`var(${inkOf(at)})`} />}
  </svg>
);

/** Curves of runs over each other, raw behind smoothed; all plots at one x under the pointer. */
export function Curves({ runs }: { runs: readonly Run[] }) {
  const [words, setWords] = useWords();
  const logs = (words.log ?? "").split(",");
  const kept = Number(words.smooth ?? 0.6);
  const view: View = { x: words.x === "tokens" ? "tokens" : "step", logX: logs.includes("x"), logY: logs.includes("y"), keep: Math.min(0.98, Math.max(0, Number.isFinite(kept) ? kept : 0.6)) };
  const setLog = (axis: string, on: boolean) => setWords({ log: ["x", "y"].filter((each) => (each === axis ? on : logs.includes(each))).join(",") || undefined });
  const plots = PLOTS.filter(([key]) => runs.some((run) => run.rows.some((row) => typeof row[key] === "number")));
  if (!plots.length) return <p className="dim sm pad">No step is measured yet: the curves begin with the first row of metrics.</p>;
  return (
    <section aria-label="Curves">
      <div className="curvebar">
        <Segment label="Along" value={view.x} onChange={(x) => setWords({ x: x === "step" ? undefined : x })} options={[{ value: "step", text: "step" }, { value: "tokens", text: "tokens" }]} />
        <Checkbox checked={view.logX} onChange={(event) => setLog("x", event.target.checked)}>log x</Checkbox>
        <Checkbox checked={view.logY} onChange={(event) => setLog("y", event.target.checked)}>log y</Checkbox>
        <label className="check">
          smoothing
          <input type="range" min={0} max={0.98} step={0.02} value={view.keep} onChange={(event) => setWords({ smooth: event.target.value })} />
          <span className="num">{view.keep.toFixed(2)}</span>
        </label>
      </div>
      <div className="curves">{plots.map(([key, title, unit]) => <Curve key={key} title={title} unit={unit} runs={runs} field={key} view={view} />)}</div>
    </section>
  );
}

/** One x for all runs; per run its raw values, and the smoothed ones. */
function aligned(runs: readonly Run[], field: string, view: View): uPlot.AlignedData {
  const tables = runs.map((run): uPlot.AlignedData => {
    const used = run.rows.filter((row) => typeof row[field] === "number" && (!view.logY || row[field]! > 0) && (!view.logX || (row[view.x] ?? 0) > 0));
    const values = used.map((row) => row[field] ?? null);
    const keep = NOISY.has(field) ? view.keep ** Math.max(1, LONG / values.length) : 0;
    return [used.map((row) => row[view.x] ?? 0), values, smooth(values, keep)];
  });
  return tables.length === 1 ? tables[0]! : uPlot.join(tables.map((table) => (table[0].length ? table : [[0], [null], [null]])));
}

function Curve({ title, unit, runs, field, view }: { title: string; unit: string; runs: readonly Run[]; field: string; view: View }) {
  const [place, { width }] = useSize<HTMLDivElement>();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useShownTheme();
  const [at, setAt] = useState<number | null>(null);
  const [table, setTable] = useState(false);
  const data = useMemo(() => aligned(runs, field, view), [runs, field, view.x, view.logX, view.logY, view.keep]);
  const shape = runs.map((run) => run.id).join();
  useEffect(() => {
    if (!holder.current || !width || table) return;
    const axis = { stroke: token("--fg-3"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable, sans-serif" };
    const label = (_: uPlot, ticks: (number | null)[]) => ticks.map((value) => (value === null ? "" : figures(value)));
    const made = new uPlot(
      {
        width,
        height: 148,
        legend: { show: false },
        cursor: { sync: { key: "curves" }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: false, distr: view.logX ? 3 : 1 }, y: { distr: view.logY ? 3 : 1 } },
        axes: [{ ...axis, size: 24, values: label }, { ...axis, size: 52, values: label }],
        series: [
          {},
          ...runs.flatMap((_, k) => {
            const ink = token(inkOf(k));
            const line = { width: 1.5, stroke: ink, dash: DASHES[k % 4] ?? [], spanGaps: true, points: { show: k >= 4, size: 5, fill: token("--panel"), stroke: ink } };
            return [{ ...line, stroke: `${ink}47`, width: 1, dash: [], points: { show: false } }, line];
          }),
        ],
        hooks: { setCursor: [(self: uPlot) => setAt(self.cursor.idx ?? null)] },
      },
      data,
      holder.current,
    );
    plot.current = made;
    return () => {
      plot.current = null;
      made.destroy();
    };
  }, [width, view.logX, view.logY, theme, field, shape, table]);
  useEffect(() => plot.current?.setData(data), [data]);
  const xs = data[0];
  const valueOf = (k: number) => {
    const column = data[2 * k + 1] ?? [];
    if (at !== null) return column[at] ?? null;
    for (let row = column.length - 1; row >= 0; row--) if (column[row] != null) return column[row]!;
    return null;
  };
  const keys = (event: KeyboardEvent) => {
    const self = plot.current;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "T" && event.shiftKey) setTable(!table);
    else if (by && self && xs.length) {
      const next = Math.max(0, Math.min(xs.length - 1, at === null ? (by > 0 ? 0 : xs.length - 1) : at + by));
      self.setCursor({ left: self.valToPos(xs[next]!, "x"), top: 10 });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <figure className="curve" ref={place} tabIndex={0} onKeyDown={keys} aria-label={`${title}${unit ? `, ${unit}` : ""}. Arrows read the values, Shift T shows a table.`}>
      <figcaption>
        <b>{title}</b> <span className="dim xs grow">{unit}</span>
        {at !== null && xs[at] !== undefined && <span className="num dim">{view.x} {int(xs[at])}</span>}
      </figcaption>
      <div className="curvevalues" aria-live={at === null ? "off" : "polite"}>
        {runs.map((run, k) => <span key={run.id} title={run.name}>{runs.length > 1 && <Swatch at={k} />}<span className="num">{figures(valueOf(k))}</span></span>)}
      </div>
      {table ? (
        <div className="curvetable">
          <table className="numbers">
            <thead><tr><th>{view.x}</th>{runs.map((run) => <th key={run.id}>{run.name}</th>)}</tr></thead>
            <tbody>{[...xs].map((x, row) => <tr key={x}><td>{int(x)}</td>{runs.map((run, k) => <td key={run.id}>{figures(data[2 * k + 1]?.[row])}</td>)}</tr>)}</tbody>
          </table>
        </div>
      ) : (
        <div ref={holder} />
      )}
    </figure>
  );
}
