import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { labelEstimate, useEndpoints } from "../api/labels";
import { jobs, type Job } from "../api/jobs";
import { asCommand } from "../lib/command";
import { figures, fixed, int, plural } from "../lib/format";
import { useSettled, type Words } from "../lib/hooks";
import type { Search } from "../lib/search";
import { Checkbox } from "./controls";
import { Dialog } from "./dialog";
import { SpecForm } from "./spec-form";
import { Loading } from "./states";
import { copy, toast } from "./toast";

interface Props {
  extraction: string;
  /** Which, as `--features` has them. */
  features: string;
  count: number;
  open: boolean;
  onClose: () => void;
}

/** Have features labelled anew: by whom, with which scores, for how much; what it would cost stands there before it starts. */
export function Relabel({ extraction, features, count, open, onClose }: Props) {
  const title = count === 1 ? `Label feature ${features} anew` : `Label ${plural(count, "feature")}`;
  return (
    <Dialog open={open} onClose={onClose} title={title} wide>
      <Form extraction={extraction} features={features} count={count} onDone={onClose} />
    </Dialog>
  );
}

const SCORES: readonly [name: string, meaning: string][] = [
  ["detection", "is it active in this window?"],
  ["fuzzing", "do the marks stand on its tokens?"],
  ["simulation", "how strong is it on each token?"],
  ["intruder", "which window is silent? asked without the label"],
  ["surprisal", "does the label make the text likelier?"],
];
const OF_RULES = 3;
const OF_LLMS = ["llm", "llm_url", "llm_model", "prompt", "budget", "concurrency", "timeout", "seed"];

function Form({ extraction, features, count, onDone }: Omit<Props, "open" | "onClose"> & { onDone: () => void }) {
  const endpoints = useEndpoints();
  const client = useQueryClient();
  const [words, setWords] = useState<Search>({});
  const state: Words = [words, (change) => setWords((old) => ({ ...old, ...change }))];
  const known = endpoints.data;
  const initial = useMemo(() => ({ explainer: known?.length ? "llm" : "lexical", score: "detection,fuzzing", ...(known?.length && !words.llm_url ? { llm: known[0]!.name } : {}) }), [known, words.llm_url]);
  const fixed = useMemo(() => ({ extraction, features }), [extraction, features]);
  const lexical = (words.explainer ?? initial.explainer) === "lexical";
  const hidden = useMemo(() => ["estimate", ...(lexical ? OF_LLMS : known?.length && !words.llm_url ? [] : ["llm"])], [lexical, known, words.llm_url]);
  const server = known?.length && !words.llm_url ? ["llm"] : ["llm_url", "llm_model"];
  if (endpoints.isPending) return <Loading busy />;
  return (
    <SpecForm
      verb="label_features"
      first={lexical ? ["explainer", "score"] : ["explainer", ...server, "budget", "score", ...(count === 1 ? ["again"] : [])]}
      hidden={hidden}
      fixed={fixed}
      state={state}
      initial={initial}
      choices={{ llm: (known ?? []).map((one) => ({ value: one.name, text: `${one.name} · ${one.model}` })) }}
      inputs={{ budget: (value, set) => <input id="f-budget" className="field" aria-describedby="h-budget" value={value} placeholder="no limit" spellCheck={false} onChange={(event) => set(event.target.value)} />, score: (value, set) => <Scores value={value} set={set} most={lexical ? OF_RULES : SCORES.length} /> }}
      action={count === 1 ? "Label it" : `Label ${int(count)}`}
      aside={(spec) => <Cost spec={spec} lexical={lexical} servers={known?.length ?? 0} />}
      onStart={(job) => {
        client.setQueryData<Job[]>(jobs().queryKey, (old) => [job, ...(old ?? []).filter((one) => one.id !== job.id)]);
        toast(`Queued: ${plural(count, "label")} to write; of each feature’s the best scored is shown`);
        onDone();
      }}
    />
  );
}

/** Which scores are measured; none at all is an answer too. */
function Scores({ value, set, most }: { value: string; set: (value: string) => void; most: number }) {
  const offered = SCORES.slice(0, most);
  const chosen = offered.map(([name]) => name).filter((name) => value.split(",").includes(name));
  return (
    <div className="many" role="group" aria-label="Scores">
      {offered.map(([name, meaning]) => (
        <Checkbox key={name} checked={chosen.includes(name)} onChange={(event) => set((event.target.checked ? [...chosen, name] : chosen.filter((one) => one !== name)).join(",") || "none")}>
          <span>{name} <span className="dim">{meaning}</span></span>
        </Checkbox>
      ))}
    </div>
  );
}

/** Calls, tokens and money, worked out from a few of the features; nothing is asked of the LLM for it. */
function Cost({ spec, lexical, servers }: { spec: Record<string, unknown> | null; lexical: boolean; servers: number }) {
  const settled = useSettled(spec === null || lexical ? "" : JSON.stringify(spec), 300);
  const given = useMemo(() => (settled ? (JSON.parse(settled) as Record<string, unknown>) : null), [settled]);
  const answer = useQuery(labelEstimate(given));
  const made = settled && answer.isSuccess ? answer.data : undefined;
  const money = (cost: number | null | undefined) => (cost === null ? "prices not known" : cost === undefined ? "–" : fixed(cost, cost < 0.1 ? 4 : 2));
  return (
    <div className="panel" aria-busy={answer.isFetching}>
      <header><h2 className="grow">Estimate</h2></header>
      <div className="pad">
        {lexical ? (
          <p className="sm soft">Made by rule from shared tokens and neighbourhoods: no LLM is asked, nothing is paid.</p>
        ) : (
          <>
            <dl className="defs" aria-live="polite">
              <dt>features</dt><dd>{int(made?.features)}{made && made.kept > 0 && <span className="dim">; {int(made.kept)} labelled by this very request before {made.kept === 1 ? "is" : "are"} passed over, unless “again” is ticked</span>}</dd>
              <dt>calls</dt><dd>{int(made?.calls)}{made && made.features > 1 && <span className="dim">, {figures(made.calls_per_feature)} a feature</span>}</dd>
              <dt>tokens</dt><dd>{int(made?.tokens_in)} in, {int(made?.tokens_out)} out<span className="dim">; at most {int(made && made.at_most.tokens_in + made.at_most.tokens_out)}</span></dd>
              <dt>money</dt><dd>{money(made?.cost)}{made?.cost != null && <span className="dim">; at most {money(made.at_most.cost)}</span>}</dd>
              {made?.budget && <><dt>budget</dt><dd className={made.fits ? "" : "warn"}>{made.budget}{made.fits ? ", enough" : " △ it will stop there, with what it has"}</dd></>}
            </dl>
            {answer.isError && settled && <p className="sm bad" role="alert">△ {answer.error.message}{"hint" in answer.error && answer.error.hint ? `; ${String(answer.error.hint)}` : ""}</p>}
            {!servers && <p className="xs dim">A server with a key is added in <Link className="acc" to="/settings">Settings</Link>.</p>}
          </>
        )}
        {spec && String(spec.features).length < 2000 && <button type="button" className="acc xs" onClick={() => void copy(asCommand("label_features", spec), "Command copied")}>copy as command</button>}
      </div>
    </div>
  );
}
