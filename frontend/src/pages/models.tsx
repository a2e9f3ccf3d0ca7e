import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useModels, useSaes } from "../api/queries";
import { int, moment } from "../lib/format";
import { useWords } from "../lib/hooks";
import { useKeys } from "../lib/keys";
import { Button } from "../parts/controls";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";
import { Empty, Failure, Loading } from "../parts/states";
import { Remove, Things } from "../parts/things";

export function Models() {
  const [words, setWords] = useWords();
  const models = useModels();
  const add = () => setWords({ add: "1" }, { push: true });
  useKeys("Models", [{ keys: ["a"], label: "Add a model", run: add }]);
  if (words.add === "1")
    return (
      <Page crumbs={[{ text: "Models", to: "/models" }]} title="Add a model">
        <SpecForm verb="add_model" first={["name", "source", "dtype", "quantize"]} action="Add it" />
      </Page>
    );
  return (
    <Page title="Models" actions={<Button icon="plus" keys="a" onClick={add}>Add</Button>}>
      <Loading busy={models.isFetching} />
      {models.isError && <Failure error={models.error} retry={() => void models.refetch()} />}
      {models.data?.length === 0 && <Empty title="No model yet" actions={<Button look="primary" onClick={add}>Add a model</Button>}>A Hugging Face id, a checkpoint folder, or a .gguf file.</Empty>}
      {models.data && models.data.length > 0 && (
        <div className="page">
          <Things
            label="Models"
            rows={models.data}
            to={(one) => `/models/${encodeURIComponent(one.name)}`}
            columns={[
              { title: "Family", cell: (one) => one.family },
              { title: "Layers", right: true, cell: (one) => int(one.layers) },
              { title: "Width", right: true, cell: (one) => int(one.d_model) },
              { title: "Context", right: true, wide: true, cell: (one) => int(one.context) },
              { title: "Numbers", wide: true, cell: (one) => (one.quantize === "none" ? one.dtype : `${one.dtype}, ${one.quantize}`) },
              { title: "Source", wide: true, cell: (one) => <span title={one.source}>{one.source}</span> },
            ]}
          />
        </div>
      )}
    </Page>
  );
}

export function Model() {
  const { name } = useParams({ strict: false }) as { name: string };
  const navigate = useNavigate();
  const models = useModels();
  const one = models.data?.find((each) => each.name === name);
  const saes = (useSaes().data ?? []).filter((each) => each.model === name);
  const [removing, setRemoving] = useState(false);
  const layers = [...new Set(Object.keys(one?.hookpoints ?? {}).map((hookpoint) => /^layers\.(\d+)\./.exec(hookpoint)?.[1]).filter((layer): layer is string => layer !== undefined))].sort((a, b) => Number(a) - Number(b));
  const kinds = [...new Set(Object.keys(one?.hookpoints ?? {}).map((hookpoint) => hookpoint.replace(/^layers\.\d+\./, "")))];
  return (
    <Page
      crumbs={[{ text: "Models", to: "/models" }]}
      title={name}
      actions={
        <>
          <Button look="ghost" icon="train" onClick={() => void navigate({ to: "/train", search: { model: name } as never })}>Train on it</Button>
          <Button look="ghost" icon="trash" onClick={() => setRemoving(true)}>Remove</Button>
        </>
      }
    >
      {models.isSuccess && !one && <Empty title={`There is no model “${name}”`} actions={<Link className="btn" to="/models">All models</Link>} />}
      {one && (
        <div className="page">
          <dl className="figures">
            <div><dt>family</dt><dd>{one.family}</dd></div>
            <div><dt>layers</dt><dd>{int(one.layers)}</dd></div>
            <div><dt>width</dt><dd>{int(one.d_model)}</dd></div>
            <div><dt>context</dt><dd>{int(one.context)}</dd></div>
            <div><dt>vocabulary</dt><dd>{int(one.vocabulary)}</dd></div>
            <div><dt>numbers</dt><dd>{one.dtype}{one.quantize === "none" ? "" : `, ${one.quantize}`}</dd></div>
          </dl>
          <dl className="defs"><dt>source</dt><dd className="mono">{one.source}</dd><dt>added</dt><dd>{moment(one.created)}</dd></dl>
          <section>
            <h2>Hookpoints</h2>
            <div className="things">
              <table className="table hooks" aria-label="Hookpoints and their widths">
                <thead><tr><th className="r">Layer</th>{kinds.map((kind) => <th key={kind} className="r">{kind}</th>)}</tr></thead>
                <tbody>
                  {(layers.length ? layers : [""]).map((layer) => (
                    <tr key={layer}>
                      <td className="num">{layer || "–"}</td>
                      {kinds.map((kind) => {
                        const hookpoint = one.hookpoints[`layers.${layer}.${kind}`] !== undefined ? `layers.${layer}.${kind}` : kind;
                        const width = one.hookpoints[hookpoint];
                        const read = saes.filter((sae) => sae.hookpoint === hookpoint);
                        return <td key={kind} className="num">{width === undefined || (layer !== layers[0] && hookpoint === kind) ? "" : read.length ? <Link className="acc" to="/saes/$name" params={{ name: read[0]!.name }} title={read.map((sae) => sae.name).join(", ")}>{int(width)} · {read.length} SAE{read.length > 1 ? "s" : ""}</Link> : int(width)}</td>;
                      })}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </section>
        </div>
      )}
      <Remove kind="models" name={name} open={removing} onClose={() => setRemoving(false)} depends={saes.map((sae) => `SAE ${sae.name}`)} then="/models" />
    </Page>
  );
}
