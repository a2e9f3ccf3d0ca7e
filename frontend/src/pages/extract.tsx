import { useMutation } from "@tanstack/react-query";
import { useMemo } from "react";
import { send } from "../api/actions";
import { useDatasets, useSaes } from "../api/queries";
import { bytes, int, seconds } from "../lib/format";
import { Button } from "../parts/controls";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";
import { Failure } from "../parts/states";
import { copy } from "../parts/toast";

interface Estimate {
  seconds: number;
  phases: Record<string, number>;
  peak_memory_bytes: number;
  disk_bytes: number;
  samples: number;
  tokens: number;
  vectorization_batch_size: number;
  why: string;
  device: string;
  memory_free_bytes?: number;
}
interface Answer {
  estimate: Estimate;
  saes: { sae: string; features: number; probe: { fvu: number; l0: number } }[];
}

const SIZES = ["auto", "1", "32", "64", "128", "256"];

export function Extract() {
  const datasets = useDatasets().data ?? [];
  const saes = useSaes().data ?? [];
  const initial = useMemo(() => ({ vectorization_batch_size: "auto", ...(saes.length ? { saes: saes.at(-1)!.name } : {}), ...(datasets.length ? { dataset: datasets.at(-1)!.name } : {}) }), [saes.length, datasets.length]);
  return (
    <Page title="Extract">
      <SpecForm
        verb="extract_features"
        first={["saes", "dataset", "vectorization_batch_size", "samples", "context", "top_k"]}
        hidden={HIDDEN}
        action="Start"
        initial={initial}
        choices={{ saes: saes.map((one) => ({ value: one.name, text: `${one.name} · ${one.hookpoint} · ${int(one.d_sae)}` })), dataset: datasets.map((one) => ({ value: one.name })) }}
        inputs={{ vectorization_batch_size: (value, set) => <BatchSize value={value} set={set} /> }}
        aside={(spec) => <Estimated spec={spec} />}
      />
    </Page>
  );
}

const HIDDEN = ["estimate", "estimate_for"];

/** Auto, the usual sizes, or any number. */
function BatchSize({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <div className="row wrap" role="group" aria-label="Vectorization Batch Size">
      <div className="seg">
        {SIZES.map((size) => <button key={size} type="button" aria-pressed={value === size} onClick={() => set(size)}>{size === "auto" ? "Auto" : size}</button>)}
      </div>
      <input id="f-vectorization_batch_size" className="field num short-number" aria-label="Another number of samples" inputMode="numeric" placeholder="other" value={SIZES.includes(value) ? "" : value} onChange={(event) => set(event.target.value || "auto")} />
    </div>
  );
}

/** What it would take, measured on a few blocks when asked: that runs the model for some seconds. */
function Estimated({ spec }: { spec: Record<string, unknown> | null }) {
  const estimate = useMutation({ mutationFn: (given: Record<string, unknown>) => send<Answer>("POST", "/estimate", { verb: "extract_features", spec: given }) });
  const of = JSON.stringify(spec);
  const current = estimate.data && JSON.stringify(estimate.variables) === of ? estimate.data : undefined;
  const made = current?.estimate;
  const command = spec && `saescope extract ${((spec.saes as string[] | undefined) ?? []).map((sae) => `--sae ${sae}`).join(" ")} ${Object.entries(spec).filter(([name]) => name !== "saes").map(([name, value]) => (typeof value === "boolean" ? (value ? `--${name.replaceAll("_", "-")}` : "") : `--${name.replaceAll("_", "-")} ${String(value)}`)).filter(Boolean).join(" ")}`;
  return (
    <div className="panel">
      <header><h2 className="grow">Estimate</h2><Button className="tight" disabled={!spec || estimate.isPending} onClick={() => spec && estimate.mutate(spec)}>{estimate.isPending ? "Measuring…" : "Measure"}</Button></header>
      <div className="pad">
        <dl className="defs">
          <dt>time</dt><dd>{seconds(made?.seconds)}</dd>
          <dt>memory</dt><dd>{bytes(made?.peak_memory_bytes)}{made?.memory_free_bytes !== undefined && <span className="dim"> of {bytes(made.memory_free_bytes)} free</span>}</dd>
          <dt>disk</dt><dd>{bytes(made?.disk_bytes)}</dd>
          <dt>samples</dt><dd>{int(made?.samples)}</dd>
          <dt>tokens</dt><dd>{int(made?.tokens)}</dd>
          <dt>batch size</dt><dd>{made ? `${int(made.vectorization_batch_size)}: ${made.why}` : "–"}</dd>
          {current?.saes.map((one) => (
            <Fit key={one.sae} {...one} />
          ))}
        </dl>
        {estimate.isError && <Failure error={estimate.error} />}
        {command && <button type="button" className="acc xs" onClick={() => void copy(command, "Command copied")}>copy as command</button>}
      </div>
    </div>
  );
}

const Fit = ({ sae, probe }: Answer["saes"][number]) => (
  <>
    <dt className="cut" title={sae}>{sae}</dt>
    <dd className={probe.fvu > 0.5 ? "warn" : ""}>FVU {probe.fvu.toFixed(3)}, L0 {probe.l0.toFixed(1)}{probe.fvu > 0.5 && <> △ this SAE does not seem to fit this hookpoint</>}</dd>
  </>
);
