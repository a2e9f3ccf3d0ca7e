import { useMutation } from "@tanstack/react-query";
import { send } from "../api/actions";
import { bytes, fixed, int, seconds } from "../lib/format";
import { asCommand } from "../lib/command";
import { Button } from "./controls";
import { Failure } from "./states";
import { copy } from "./toast";

interface Estimate {
  seconds: number;
  phases: Record<string, number>;
  peak_memory_bytes: number;
  memory_free_bytes?: number;
  disk_bytes: number;
  disk_free_bytes?: number;
  device: string;
  tokens: number;
  samples?: number;
  steps?: number;
  epochs?: number;
  vectorization_batch_size?: number;
  why?: string;
}
interface Part {
  sae?: string;
  kind?: string;
  d_sae?: number;
  probe?: { fvu: number; l0: number };
  tokens_per_second?: number;
}
interface Size {
  size: number;
  seconds: number;
  samples_per_second: number;
  peak_memory_bytes: number;
  auto: boolean;
}
interface Answer {
  estimate: Estimate;
  saes: Part[];
  batch_sizes?: Size[];
}

/** What a spec would take, measured on a few blocks when asked for: that runs the model for some seconds. */
export function Estimated({ verb, spec }: { verb: "train_sae" | "extract_features"; spec: Record<string, unknown> | null }) {
  const estimate = useMutation({ mutationFn: (given: Record<string, unknown>) => send<Answer>("POST", "/estimate", { verb, spec: given }) });
  const current = estimate.data && JSON.stringify(estimate.variables) === JSON.stringify(spec) ? estimate.data : undefined;
  const made = current?.estimate;
  const phases = Object.entries(made?.phases ?? {}).filter(([, time]) => time > 0).sort((a, b) => b[1] - a[1]);
  return (
    <div className="panel">
      <header><h2 className="grow">Estimate</h2><Button className="tight" disabled={!spec || estimate.isPending} onClick={() => spec && estimate.mutate(spec)}>{estimate.isPending ? "Measuring…" : "Measure"}</Button></header>
      <div className="pad">
        <dl className="defs">
          <dt>time</dt><dd>{seconds(made?.seconds)}</dd>
          <dt>memory</dt><dd className={made?.memory_free_bytes !== undefined && made.peak_memory_bytes > made.memory_free_bytes ? "warn" : ""}>{bytes(made?.peak_memory_bytes)}{made?.memory_free_bytes !== undefined && <span className="dim">, {bytes(made.memory_free_bytes)} free</span>}</dd>
          <dt>disk</dt><dd>{bytes(made?.disk_bytes)}{made?.disk_free_bytes !== undefined && <span className="dim">, {bytes(made.disk_free_bytes)} free</span>}</dd>
          <dt>tokens</dt><dd>{int(made?.tokens)}</dd>
          {made?.samples !== undefined && <><dt>samples</dt><dd>{int(made.samples)}</dd></>}
          {made?.steps !== undefined && <><dt>steps</dt><dd>{int(made.steps)}</dd></>}
          {made?.epochs !== undefined && <><dt>epochs</dt><dd>{fixed(made.epochs)}</dd></>}
          {made?.vectorization_batch_size !== undefined && <><dt>batch size</dt><dd>{int(made.vectorization_batch_size)}{made.why && <span className="dim">: {made.why}</span>}</dd></>}
          {phases.length > 0 && <><dt>spent on</dt><dd>{phases.slice(0, 4).map(([name, time]) => `${name} ${seconds(time)}`).join(", ")}</dd></>}
          {current?.saes.map((one, at) => one.probe && <Fit key={at} sae={one.sae ?? ""} probe={one.probe} />)}
        </dl>
        {current?.batch_sizes && current.batch_sizes.length > 0 && <Sizes rows={current.batch_sizes} />}
        {!made && !estimate.isPending && !estimate.isError && <p className="xs dim">Measured on a few blocks of the text, on this machine; it takes some seconds.</p>}
        {estimate.isError && <Failure error={estimate.error} />}
        {spec && <button type="button" className="acc xs" onClick={() => void copy(asCommand(verb, spec), "Command copied")}>copy as command</button>}
      </div>
    </div>
  );
}

/** What each batch size would take, and which one Auto takes. */
const Sizes = ({ rows }: { rows: readonly Size[] }) => (
  <table className="sizes" aria-label="Estimate for each batch size">
    <thead><tr><th>batch size</th><th>time</th><th>memory</th></tr></thead>
    <tbody>
      {rows.map((row) => (
        <tr key={row.size}>
          <th scope="row">{row.auto ? `Auto: ${int(row.size)}` : int(row.size)}</th>
          <td>{seconds(row.seconds)}</td>
          <td>{bytes(row.peak_memory_bytes)}</td>
        </tr>
      ))}
    </tbody>
  </table>
);

const Fit = ({ sae, probe }: { sae: string; probe: { fvu: number; l0: number } }) => (
  <>
    <dt className="cut" title={sae}>{sae}</dt>
    <dd className={probe.fvu > 0.5 ? "warn" : ""}>FVU {fixed(probe.fvu, 3)}, L0 {fixed(probe.l0, 1)}{probe.fvu > 0.5 && <> △ this SAE does not seem to fit this hookpoint</>}</dd>
  </>
);
