import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { get, useExtractions, useModels, useSaes } from "../api/queries";
import { fixed, figures, int, moment, percent } from "../lib/format";
import { useWords } from "../lib/hooks";
import { useKeys } from "../lib/keys";
import { Button } from "../parts/controls";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";
import { Empty, Failure, Loading } from "../parts/states";
import { Remove, Things } from "../parts/things";

export function Saes() {
  const [words, setWords] = useWords();
  const saes = useSaes();
  const models = useModels().data ?? [];
  const add = () => setWords({ add: "1" }, { push: true });
  useKeys("SAEs", [{ keys: ["a"], label: "Add an SAE", run: add }]);
  if (words.add === "1")
    return (
      <Page crumbs={[{ text: "SAEs", to: "/saes" }]} title="Add an SAE">
        <SpecForm verb="add_sae" first={["name", "source", "model", "hookpoint"]} action="Add it" choices={{ model: models.map((one) => ({ value: one.name })) }} />
      </Page>
    );
  return (
    <Page
      title="SAEs"
      actions={
        <>
          <Link className="btn ghost" to="/train">Train one</Link>
          <Button icon="plus" keys="a" onClick={add}>Add</Button>
        </>
      }
    >
      <Loading busy={saes.isFetching} />
      {saes.isError && <Failure error={saes.error} retry={() => void saes.refetch()} />}
      {saes.data?.length === 0 && <Empty title="No SAE yet" actions={<><Button look="primary" onClick={add}>Add one</Button><Link className="btn" to="/train">Train one</Link></>}>Bring a trained SAE in any of the formats known here, or train one on your own text.</Empty>}
      {saes.data && saes.data.length > 0 && (
        <div className="page">
          <Things
            label="SAEs"
            rows={saes.data}
            to={(one) => `/saes/${encodeURIComponent(one.name)}`}
            columns={[
              { title: "Kind", cell: (one) => one.kind },
              { title: "Features", right: true, cell: (one) => int(one.d_sae) },
              { title: "Hookpoint", wide: true, cell: (one) => <span className="mono">{one.hookpoint}</span> },
              { title: "Model", wide: true, cell: (one) => one.model },
              { title: "FVU", right: true, wide: true, cell: (one) => fixed(one.metrics.fvu, 3) },
              { title: "L0", right: true, wide: true, cell: (one) => figures(one.metrics.l0) },
              { title: "Dead", right: true, wide: true, cell: (one) => figures(one.metrics.dead) },
            ]}
          />
        </div>
      )}
    </Page>
  );
}

export function Sae() {
  const { name } = useParams({ strict: false }) as { name: string };
  const navigate = useNavigate();
  const saes = useSaes();
  const one = saes.data?.find((each) => each.name === name);
  const shown = useQuery({ queryKey: ["sae", name], queryFn: ({ signal }) => get<Record<string, unknown>>(`/saes/${encodeURIComponent(name)}`, signal), retry: false });
  const made = (useExtractions().data ?? []).filter((each) => each.sae === name);
  const [removing, setRemoving] = useState(false);
  const known = new Set(["id", "name", "kind", "d_in", "d_sae", "model", "hookpoint", "source", "metrics", "created", "fingerprint"]);
  const rest = Object.entries(shown.data ?? {}).filter(([key, value]) => !known.has(key) && value !== null && typeof value !== "object");
  const nested = Object.entries(shown.data ?? {}).filter(([key, value]) => !known.has(key) && value !== null && typeof value === "object");
  return (
    <Page
      crumbs={[{ text: "SAEs", to: "/saes" }]}
      title={name}
      actions={
        <>
          <Button look="ghost" icon="extract" onClick={() => void navigate({ to: "/extract", search: { saes: name } as never })}>Extract</Button>
          <Button look="ghost" icon="trash" onClick={() => setRemoving(true)}>Remove</Button>
        </>
      }
    >
      {saes.isSuccess && !one && <Empty title={`There is no SAE “${name}”`} actions={<Link className="btn" to="/saes">All SAEs</Link>} />}
      {one && (
        <div className="page">
          <dl className="figures">
            <div><dt>kind</dt><dd>{one.kind}</dd></div>
            <div><dt>features</dt><dd>{int(one.d_sae)}</dd></div>
            <div><dt>reads</dt><dd>{int(one.d_in)} numbers</dd></div>
            <div><dt>FVU</dt><dd>{fixed(one.metrics.fvu, 3)}</dd></div>
            <div><dt>L0</dt><dd>{figures(one.metrics.l0)}</dd></div>
            <div><dt>dead</dt><dd>{figures(one.metrics.dead)}</dd></div>
            <div><dt>CE recovered</dt><dd>{percent(one.metrics.ce_recovered)}</dd></div>
          </dl>
          <dl className="defs">
            <dt>model</dt><dd><Link className="acc" to="/models/$name" params={{ name: one.model }}>{one.model}</Link></dd>
            <dt>hookpoint</dt><dd className="mono">{one.hookpoint}</dd>
            <dt>source</dt><dd className="mono">{one.source}</dd>
            <dt>added</dt><dd>{moment(one.created)}</dd>
            {rest.map(([key, value]) => <Entry key={key} name={key} value={String(value)} />)}
          </dl>
          {made.length > 0 && (
            <section>
              <h2>Extractions of it</h2>
              <Things label="Extractions" rows={made} to={(each) => `/features/${encodeURIComponent(each.name)}`} columns={[{ title: "Dataset", cell: (each) => each.dataset }, { title: "Samples", right: true, cell: (each) => int(each.samples) }, { title: "Tokens", right: true, cell: (each) => int(each.tokens) }, { title: "Made", wide: true, cell: (each) => moment(each.created) }]} />
            </section>
          )}
          {nested.map(([key, value]) => (
            <details key={key}><summary className="sm soft">{key.replaceAll("_", " ")}</summary><pre className="logbox">{JSON.stringify(value, null, 2)}</pre></details>
          ))}
        </div>
      )}
      <Remove kind="saes" name={name} open={removing} onClose={() => setRemoving(false)} depends={made.map((each) => `extraction ${each.name}`)} then="/saes" />
    </Page>
  );
}

const Entry = ({ name, value }: { name: string; value: string }) => <><dt>{name.replaceAll("_", " ")}</dt><dd>{value}</dd></>;
