import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { jobs, kindOf, live, share, stateOf } from "../api/jobs";
import { useDatasets, useModels } from "../api/queries";
import { percent } from "../lib/format";
import { useWords } from "../lib/hooks";
import { Status } from "../parts/controls";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";

export function Train() {
  const [words] = useWords();
  const datasets = useDatasets().data ?? [];
  const models = useModels().data ?? [];
  const model = models.find((one) => one.name === words.model) ?? models.at(-1);
  const runs = (useQuery(jobs()).data ?? []).filter((job) => job.verb.startsWith("train"));
  const initial = useMemo(() => {
    const middle = model && `layers.${Math.floor(model.layers / 2)}.resid_post`;
    return { ...(model ? { model: model.name } : {}), ...(datasets.length ? { dataset: datasets.at(-1)!.name } : {}), ...(middle && model.hookpoints[middle] !== undefined ? { hookpoint: middle } : {}) };
  }, [model, datasets.length]);
  return (
    <Page title="Train">
      <SpecForm
        verb="train_sae"
        first={["model", "dataset", "hookpoint", "kind", "d_sae", "k", "tokens", "name"]}
        action="Train"
        initial={initial}
        choices={{ model: models.map((one) => ({ value: one.name })), dataset: datasets.map((one) => ({ value: one.name })), hookpoint: Object.keys(model?.hookpoints ?? {}).map((value) => ({ value })) }}
        aside={() =>
          runs.length > 0 && (
            <div className="panel">
              <header><h2>Runs</h2></header>
              <ul className="pad runs">
                {runs.slice(0, 8).map((job) => (
                  <li key={job.id} className="row">
                    <Link className="cut grow" to="/jobs/$id" params={{ id: job.id }} title={job.name}>{job.name || kindOf(job)}</Link>
                    {live(job) && <span className="num">{percent(share(job), 0)}</span>}
                    <Status state={stateOf(job)} />
                  </li>
                ))}
              </ul>
            </div>
          )
        }
      />
    </Page>
  );
}
