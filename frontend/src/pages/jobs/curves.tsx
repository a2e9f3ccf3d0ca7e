import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { live, type JobDetail } from "../../api/jobs";
import { get } from "../../api/queries";
import { figures } from "../../lib/format";
import { smooth } from "../../lib/smooth";
import { token, useShownTheme } from "../../lib/theme";
import { useSize } from "../../lib/width";
import { Checkbox, Segment } from "../../parts/controls";
import { Empty } from "../../parts/states";

type Row = Record<string, number | null>;

const PLOTS: readonly [key: string, title: string][] = [
  ["loss", "Loss"],
  ["fvu", "FVU"],
  ["l0", "L0, features a token"],
  ["dead", "Dead features"],
  ["ce_recovered", "CE recovered"],
  ["tokens_per_second", "Tokens a second"],
  ["lr", "Learning rate"],
];

/** A run's curves, while it runs and after: raw behind smoothed, all plots at one x under the pointer. */
export function Curves({ job }: { job: JobDetail }) {
  const made = job.made.find((one) => one.kind === "sae")?.name;
  const answer = useQuery({
    queryKey: ["metrics", made],
    queryFn: async ({ signal }) => rowsOf(await get<Record<string, (number | null)[]>>(`/trainings/${encodeURIComponent(made ?? "")}/metrics`, signal)),
    enabled: made !== undefined,
    retry: false,
  });
  const [x, setX] = useState<"step" | "tokens">("step");
  const [log, setLog] = useState(false);
  const rows = answer.data ?? [];
  if (!made) return live(job) ? <p className="dim sm">The curves are drawn when the run has ended; its figures so far stand in the log.</p> : null;
  const plots = PLOTS.filter(([key]) => rows.some((row) => typeof row[key] === "number"));
  if (answer.isError) return null;
  if (!rows.length) return <Empty title="No step measured yet">The curves begin with the first row of metrics.</Empty>;
  return (
    <section>
      <div className="row wrap">
        <h2>Curves</h2>
        <span className="grow" />
        <Checkbox checked={log} onChange={(event) => setLog(event.target.checked)}>log scale</Checkbox>
        <Segment label="Along" value={x} onChange={setX} options={[{ value: "step", text: "step" }, { value: "tokens", text: "tokens" }]} />
      </div>
      <div className="curves">{plots.map(([key, title]) => <Curve key={key} title={title} rows={rows} field={key} x={x} log={log} />)}</div>
    </section>
  );
}

/** Columns as rows. */
function rowsOf(columns: Record<string, (number | null)[]>): Row[] {
  const names = Object.keys(columns);
  return (columns[names[0] ?? ""] ?? []).map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name]?.[at] ?? null])));
}

function Curve({ title, rows, field, x, log }: { title: string; rows: Row[]; field: string; x: "step" | "tokens"; log: boolean }) {
  const [place, { width }] = useSize<HTMLDivElement>();
  const holder = useRef<HTMLDivElement>(null);
  const theme = useShownTheme();
  const data = useMemo(() => {
    const used = rows.filter((row) => typeof row[field] === "number" && (!log || row[field]! > 0));
    const values = used.map((row) => row[field] ?? null);
    return [used.map((row) => row[x] ?? row.step ?? 0), values, smooth(values)] as uPlot.AlignedData;
  }, [rows, field, x, log]);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    if (!holder.current || !width) return;
    const axis = { stroke: token("--fg-3"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable, sans-serif", size: 36 };
    const made = new uPlot(
      {
        width,
        height: 150,
        legend: { show: false },
        cursor: { sync: { key: "curves" }, y: false },
        scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
        axes: [{ ...axis, size: 24, values: (_, ticks) => ticks.map((value) => figures(value)) }, { ...axis, size: 52, values: (_, ticks) => ticks.map((value) => (value === null ? "" : figures(value))) }],
        series: [{}, { stroke: `${token("--accent")}66`, width: 1, points: { show: false } }, { stroke: token("--accent"), width: 1.5, points: { show: false } }],
      },
      data,
      holder.current,
    );
    plot.current = made;
    return () => made.destroy();
  }, [width, log, theme, field]);
  useEffect(() => plot.current?.setData(data), [data]);
  const last = data[1]?.at(-1);
  return (
    <figure className="curve" ref={place} aria-label={`${title}: last ${figures(last)}`}>
      <figcaption className="row xs"><b className="grow">{title}</b><span className="num">{figures(last)}</span></figcaption>
      <div ref={holder} />
    </figure>
  );
}
