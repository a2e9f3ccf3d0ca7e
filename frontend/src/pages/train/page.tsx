import { useMemo } from "react";
import { useDatasets, useModels } from "../../api/queries";
import { useWords } from "../../lib/hooks";
import { Estimated } from "../../parts/estimate";
import { Page } from "../../parts/page";
import { SpecForm } from "../../parts/spec-form";
import { toast } from "../../parts/toast";
import { Runs } from "./runs";
import "./train.css";

const FIRST = ["model", "dataset", "hookpoint", "kind", "d_sae", "k", "tokens", "name"];
const HIDDEN = ["estimate"];

/** A training is asked for at the left; at the right those under way and finished are compared. */
export function Train() {
  const [words] = useWords();
  const datasets = useDatasets().data ?? [];
  const models = useModels().data ?? [];
  const model = models.find((one) => one.name === words.model) ?? models.at(-1);
  const initial = useMemo(() => {
    const middle = model && `layers.${Math.floor(model.layers / 2)}.resid_post`;
    return { ...(model ? { model: model.name } : {}), ...(datasets.length ? { dataset: datasets.at(-1)!.name } : {}), ...(middle && model.hookpoints[middle] !== undefined ? { hookpoint: middle } : {}) };
  }, [model, datasets.length]);
  return (
    <Page title="Train" className="trainpage">
      <SpecForm
        verb="train_sae"
        first={FIRST}
        hidden={HIDDEN}
        action="Train"
        initial={initial}
        choices={{ model: models.map((one) => ({ value: one.name })), dataset: datasets.map((one) => ({ value: one.name })), hookpoint: Object.keys(model?.hookpoints ?? {}).map((value) => ({ value })) }}
        aside={(spec) => <Estimated verb="train_sae" spec={spec} />}
        onStart={(job) => toast(`Queued: ${job.name}`)}
      />
      <div className="runpane"><Runs /></div>
    </Page>
  );
}
