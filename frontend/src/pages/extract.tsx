import { useMemo } from "react";
import { useDatasets, useSaes } from "../api/queries";
import { int } from "../lib/format";
import { Estimated } from "../parts/estimate";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";

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
        aside={(spec) => <Estimated verb="extract_features" spec={spec} />}
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
