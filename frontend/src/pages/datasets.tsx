import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, failure } from "../api/client";
import { get, useDatasets, useExtractions, useModels } from "../api/queries";
import { figures, int, moment, plural } from "../lib/format";
import { useWords } from "../lib/hooks";
import { useKeys } from "../lib/keys";
import { Button, Select } from "../parts/controls";
import { Page } from "../parts/page";
import { SpecForm } from "../parts/spec-form";
import { Empty, Failure, Loading } from "../parts/states";
import { Things, Remove } from "../parts/things";
import { tokenText } from "../parts/tokens";

export function Datasets() {
  const [words, setWords] = useWords();
  const datasets = useDatasets();
  useKeys("Datasets", [{ keys: ["a"], label: "Add a dataset", run: () => setWords({ add: "1" }, { push: true }) }]);
  if (words.add === "1")
    return (
      <Page crumbs={[{ text: "Datasets", to: "/datasets" }]} title="Add a dataset">
        <Upload onPath={(path, name) => setWords({ source: path, name: words.name ?? name })} />
        <SpecForm verb="add_dataset" first={["name", "source", "limit"]} action="Add it" />
      </Page>
    );
  return (
    <Page title="Datasets" actions={<Button icon="plus" keys="a" onClick={() => setWords({ add: "1" }, { push: true })}>Add</Button>}>
      <Loading busy={datasets.isFetching} />
      {datasets.isError && <Failure error={datasets.error} retry={() => void datasets.refetch()} />}
      {datasets.data?.length === 0 && <Empty title="No dataset yet" actions={<Button look="primary" onClick={() => setWords({ add: "1" }, { push: true })}>Add a dataset</Button>}>Text from the hub, from files on this machine, or uploaded here.</Empty>}
      {datasets.data && datasets.data.length > 0 && (
        <div className="page">
          <Things
            label="Datasets"
            rows={datasets.data}
            to={(one) => `/datasets/${encodeURIComponent(one.name)}`}
            columns={[
              { title: "Documents", right: true, cell: (one) => int(one.documents) },
              { title: "Characters", right: true, cell: (one) => int(one.characters) },
              { title: "Source", wide: true, cell: (one) => <span title={one.source}>{one.source}</span> },
              { title: "Added", wide: true, cell: (one) => moment(one.created) },
            ]}
          />
        </div>
      )}
    </Page>
  );
}

/** Files from the reader's machine: sent to the home, then added like any others. */
function Upload({ onPath }: { onPath: (path: string, name: string) => void }) {
  const [state, setState] = useState<{ busy?: string; failed?: unknown; done?: string }>({});
  const send = async (file: File) => {
    setState({ busy: file.name });
    try {
      const response = await fetch(`/api/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
      if (!response.ok) throw await failure(response);
      const { path } = (await response.json()) as { path: string };
      onPath(path, file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9._-]+/g, "-"));
      setState({ done: file.name });
    } catch (error) {
      setState({ failed: error });
    }
  };
  return (
    <div className="uploadline">
      <label className="btn">
        Upload a .txt, .jsonl, .csv or .parquet file
        <input type="file" className="sr" accept=".txt,.jsonl,.csv,.parquet" onChange={(event) => { const file = event.target.files?.[0]; if (file) void send(file); }} />
      </label>
      <span className="sm dim" aria-live="polite">{state.busy ? `sending ${state.busy}…` : state.done ? `${state.done} is here; its path is the source below` : "or name a source below"}</span>
      {state.failed !== undefined && <span className="bad sm">△ {state.failed instanceof ApiError ? state.failed.message : String(state.failed)}</span>}
    </div>
  );
}

interface Sampled {
  samples: { sample: number; token_ids?: number[] | null; tokens?: string[]; text: string }[];
  /** Why these are documents and not rows of tokens. */
  why?: string;
}

export function Dataset() {
  const { name } = useParams({ strict: false }) as { name: string };
  const [words, setWords] = useWords();
  const navigate = useNavigate();
  const models = useModels().data ?? [];
  const one = useDatasets().data?.find((each) => each.name === name);
  const made = (useExtractions().data ?? []).filter((each) => each.dataset === name).map((each) => `extraction ${each.name}`);
  const model = words.model ?? models.at(-1)?.name ?? "";
  const [removing, setRemoving] = useState(false);
  const sampled = useQuery({ queryKey: ["sample", name, model], queryFn: async ({ signal }): Promise<Sampled> => {
      const address = `/datasets/${encodeURIComponent(name)}/sample?limit=12`;
      if (!model) return get<Sampled>(address, signal);
      try {
        return await get<Sampled>(`${address}&model=${encodeURIComponent(model)}`, signal);
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        return { ...(await get<Sampled>(address, signal)), why: error.message }; // not tokenized yet: the documents as they are
      }
    }, staleTime: Infinity, retry: false });
  const rows = sampled.data?.samples ?? [];
  const longest = Math.max(1, ...rows.map((row) => row.token_ids?.length ?? row.text.length));
  return (
    <Page
      crumbs={[{ text: "Datasets", to: "/datasets" }]}
      title={name}
      actions={
        <>
          <Button look="ghost" icon="extract" onClick={() => void navigate({ to: "/extract", search: { dataset: name } as never })}>Extract</Button>
          <Button look="ghost" icon="trash" onClick={() => setRemoving(true)}>Remove</Button>
        </>
      }
    >
      <div className="page">
        {one && (
          <dl className="figures">
            <div><dt>documents</dt><dd>{int(one.documents)}</dd></div>
            <div><dt>characters</dt><dd>{int(one.characters)}</dd></div>
            <div><dt>a document</dt><dd>{figures(one.characters / Math.max(1, one.documents))} characters</dd></div>
            <div><dt>added</dt><dd>{moment(one.created)}</dd></div>
          </dl>
        )}
        {one && <dl className="defs"><dt>source</dt><dd className="mono">{one.source}</dd><dt>text field</dt><dd>{one.text_field ?? "the whole file"}</dd></dl>}
        <section>
          <div className="row wrap">
            <h2>{sampled.data && !rows.some((row) => row.tokens) ? "First documents" : "Samples, as an extraction sees them"}</h2>
            <span className="grow" />
            {models.length > 0 && <Select label="Tokenized for" className="narrowfield" value={model} onChange={(next) => setWords({ model: next })} options={models.map((each) => ({ value: each.name, text: each.name }))} />}
          </div>
          <Loading busy={sampled.isFetching} label="Tokenizing" />
          {sampled.isError && <Failure error={sampled.error} retry={() => void sampled.refetch()} />}
          {sampled.data?.why && <p className="note">{sampled.data.why}: these are the documents as they are.</p>}
          <ol className="samples">
            {rows.map((row) => (
              <li key={row.sample}>
                <div className="row xs dim">
                  <span className="num">{row.sample}</span>
                  <i className="lengthbar" style={{ width: `${(160 * (row.token_ids?.length ?? row.text.length)) / longest}px` }} />
                  {row.token_ids ? plural(row.token_ids.length, "token") : plural(row.text.length, "character")}
                </div>
                <div className={row.tokens ? "toks wrapped edges" : "toks wrapped"}>{row.tokens ? row.tokens.map((token, at) => <span key={at} className="tok" title={`${at}${row.token_ids ? ` · id ${row.token_ids[at]}` : ""}`}>{tokenText(token)}</span>) : <span className="tok">{tokenText(row.text.slice(0, 1200))}</span>}</div>
              </li>
            ))}
          </ol>
        </section>
      </div>
      <Remove kind="datasets" name={name} open={removing} onClose={() => setRemoving(false)} depends={made} then="/datasets" />
    </Page>
  );
}
