import { useQueries } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { feature } from "../../api/feature";
import { useExtractions } from "../../api/queries";
import type { SteerRequest, Where } from "../../api/steer";
import { useStable, useWords } from "../../lib/hooks";
import { useKeys } from "../../lib/keys";
import { setTray, tray } from "../../lib/tray";
import { Button, IconButton, Kbd, Segment, Select } from "../../parts/controls";
import { PickFeature } from "../../parts/feature-search";
import { Icon } from "../../parts/icons";
import { Menu } from "../../parts/menu";
import { Page } from "../../parts/page";
import { Empty, Failure, useSlow } from "../../parts/states";
import { copy } from "../../parts/toast";
import { Ramp } from "../../parts/tokens";
import { EditCard } from "./card";
import { TextColumn, type Shade } from "./column";
import { asCommand, asPython, readEdits, readSampling, spokenEdit, writeEdits, type Edit } from "./edits";
import { useSteering, type Text } from "./stream";
import "./steer.css";

const WHERE: readonly { value: Where; text: string }[] = [
  { value: "all", text: "prompt and new text" },
  { value: "prompt", text: "prompt only" },
  { value: "generated", text: "new text only" },
];
const PINS = 4;

interface Pin {
  what: string;
  text: Text;
}

export function Steer() {
  const { extraction } = useParams({ strict: false }) as { extraction: string };
  const [words, setWords] = useWords();
  const extractions = useExtractions();
  const one = extractions.data?.find((each) => each.name === extraction);
  const edits = useMemo(() => readEdits(words.edits), [words.edits]);
  const sampling = useMemo(() => readSampling(words), [words.prompt, words.where, words.n, words.t, words.seed]);
  const [prompt, setPrompt] = useState(sampling.prompt);
  useEffect(() => setPrompt(sampling.prompt), [sampling.prompt]);
  const [adding, setAdding] = useState(false);
  const [chosen, setChosen] = useState(0);
  const [pins, setPins] = useState<Pin[]>([]);
  const field = useRef<HTMLTextAreaElement>(null);
  const texts = useRef<HTMLDivElement>(null);
  const { run, start, stop } = useSteering();
  const details = useQueries({ queries: edits.map((edit) => feature(extraction, edit.feature)) });
  const slow = useSlow(run?.state === "running" && !run.original.tokens.length, 1500);

  const setEdits = useStable((next: readonly Edit[]) => setWords({ edits: writeEdits(next) }));
  useEffect(() => {
    const aside = tray(extraction).filter((index) => !edits.some((edit) => edit.feature === index));
    setTray(extraction, []);
    if (aside.length) setEdits([...edits, ...aside.map((index): Edit => ({ feature: index, mode: "add", amount: 1, unit: "max", off: false }))]);
  }, [extraction]);
  useEffect(() => setPins([]), [extraction]);

  const active = edits.filter((edit) => !edit.off);
  const request: SteerRequest | null = one && active.length && prompt.trim()
    ? {
        sae: one.sae,
        extraction,
        prompt,
        edits: active.map(({ feature: index, mode, amount, unit }) => ({ feature: index, mode, amount: mode === "ablate" ? 0 : amount, unit })),
        where: sampling.where,
        max_new_tokens: sampling.tokens,
        temperature: sampling.temperature,
        seed: sampling.seed,
      }
    : null;
  const running = run?.state === "running";
  const go = () => {
    if (prompt !== sampling.prompt) setWords({ prompt });
    if (!request) return;
    start(request);
    if (matchMedia("(max-width: 720px)").matches) requestAnimationFrame(() => texts.current?.scrollIntoView());
  };
  const shade: Shade = words.shade === "feature" || words.shade === "none" ? words.shade : "surprise";
  const shades: Shade[] = ["surprise", "feature", "none"];
  const bump = (by: number) => {
    const edit = edits[chosen] ?? edits[0];
    if (edit) setEdits(edits.map((each) => (each === edit ? { ...edit, amount: Number((edit.amount + by).toFixed(2)) } : each)));
  };
  const pin = () => {
    if (!run?.steered.tokens.length) return;
    setPins([...pins, { what: run.request.edits.map((edit) => spokenEdit({ ...edit, off: false })).join(", "), text: run.steered }].slice(-PINS));
  };

  useKeys("Steer", [
    { keys: ["Ctrl+Enter"], label: "Run", inFields: true, run: go },
    { keys: ["Escape"], label: "Stop; leave the text", inFields: true, run: () => { if (running) stop(); else if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); } },
    { keys: ["a"], label: "Add an edit", run: () => setAdding(true) },
    { keys: ["["], label: "Less of the chosen edit", run: () => bump(-0.25) },
    { keys: ["]"], label: "More of the chosen edit", run: () => bump(0.25) },
    { keys: ["0"], label: "All edits off, or on again", run: () => setEdits(edits.map((edit) => ({ ...edit, off: active.length > 0 }))) },
    { keys: ["p"], label: "Pin the steered text", run: pin },
    { keys: ["v"], label: "Shade by", run: () => setWords({ shade: shades[(shades.indexOf(shade) + 1) % shades.length] }) },
    { keys: ["i", "/"], label: "Edit the prompt", run: () => field.current?.focus() },
  ]);

  const features = edits.map((edit, at) => ({ index: edit.feature, max: details[at]?.data?.max }));
  const knowsLogp = run?.original.tokens.some((token) => token.logp != null) ?? false;
  const knowsActivations = run?.steered.tokens.some((token) => token.activations !== undefined) ?? false;
  const number = (name: string, title: string, value: number, key: "n" | "t" | "seed", otherwise: number, step: number, top: number) => (
    <>
      <label className="sm dim" htmlFor={`s-${key}`}>{title}</label>
      <input id={`s-${key}`} className="field num" type="number" min={key === "n" ? 1 : 0} max={top} step={step} value={words[key] ?? value} aria-label={name} onChange={(event) => setWords({ [key]: event.target.value === String(otherwise) ? undefined : event.target.value || undefined })} />
    </>
  );

  if (extractions.isSuccess && !one)
    return (
      <Page title="Steer">
        <Empty title={`There is no extraction “${extraction}”`} actions={<Link className="btn" to="/steer">Show what there is</Link>}>It may have been removed or renamed.</Empty>
      </Page>
    );
  return (
    <Page
      crumbs={[{ text: extraction, to: `/features/${encodeURIComponent(extraction)}` }]}
      title="Steer"
      className="steer"
      actions={
        <>
          {request && (
            <Menu
              label="Copy as"
              trigger={<Button look="ghost" icon="copy">Copy as<Icon name="down" size={12} /></Button>}
              choices={[
                { text: "Python", run: () => void copy(asPython(request), "Python copied") },
                { text: "Command", run: () => void copy(asCommand(request), "Command copied") },
              ]}
            />
          )}
          <IconButton icon="link" label="Copy link" keys="y" onClick={() => void copy(location.href, "Link copied")} />
        </>
      }
    >
      <div className="edits">
        <div className="row">
          <h2 className="grow">Edits</h2>
          <Button look="ghost" icon="plus" keys="a" className="tight" onClick={() => setAdding(true)}>Add</Button>
        </div>
        {edits.map((edit, at) => (
          <EditCard
            key={edit.feature}
            extraction={extraction}
            edit={edit}
            label={details[at]?.isError ? `△ ${details[at].error.message}` : details[at]?.data?.label}
            labelSource={details[at]?.data?.label_source}
            max={details[at]?.data?.max}
            chosen={at === chosen && edits.length > 1}
            onChoose={() => setChosen(at)}
            onChange={(next) => setEdits(edits.map((each, k) => (k === at ? next : each)))}
            onRemove={() => setEdits(edits.filter((_, k) => k !== at))}
          />
        ))}
        <button type="button" className="btn ghost addline" onClick={() => setAdding(true)}><Icon name="plus" size={14} />Feature by label or index</button>
        <h2 className="gap">Sampling</h2>
        <div className="card sampling">
          <label className="sm dim" htmlFor="s-where">edits act on</label>
          <Select id="s-where" label="Edits act on" value={sampling.where} onChange={(where) => setWords({ where: where === "all" ? undefined : where })} options={WHERE} />
          {number("New tokens", "new tokens", sampling.tokens, "n", 48, 1, 2048)}
          {number("Temperature", "temperature", sampling.temperature, "t", 0, 0.1, 10)}
          {number("Seed", "seed", sampling.seed, "seed", 0, 1, 2 ** 53 - 1)}
        </div>
        <p className="xs dim">{sampling.temperature === 0 ? "At temperature 0 the likeliest token is taken: the same text each time." : "Both texts are sampled with the same seed."}</p>
        <div className="xs dim keyline">
          <span><Kbd>Ctrl ↵</Kbd> run</span>
          <span><Kbd>Esc</Kbd> stop</span>
          <span><Kbd>[</Kbd> <Kbd>]</Kbd> strength</span>
          <span><Kbd>0</Kbd> all off</span>
          <span><Kbd>p</Kbd> pin</span>
        </div>
      </div>
      <div className="texts" ref={texts}>
        <form className="prompt" onSubmit={(event) => { event.preventDefault(); go(); }}>
          <textarea ref={field} className="field mono" aria-label="Prompt" rows={1} value={prompt} spellCheck={false} placeholder="The text to continue" onChange={(event) => setPrompt(event.target.value)} onBlur={() => prompt !== sampling.prompt && setWords({ prompt })} />
          {running ? <Button type="button" look="primary" icon="stop" keys="Esc" onClick={stop}>Stop</Button> : <Button type="submit" look="primary" keys="Ctrl ↵" disabled={!request}>Run</Button>}
        </form>
        {run?.state === "failed" && <Failure error={run.error} retry={request ? go : undefined} />}
        {!run ? (
          <Empty title={edits.length ? "Ready to run" : "No edit yet"} actions={edits.length ? undefined : <Button look="primary" icon="plus" keys="a" onClick={() => setAdding(true)}>Add a feature</Button>}>
            {edits.length ? (
              <p>The prompt is continued twice, with and without the edits; both texts appear here as they are written.</p>
            ) : (
              <p>An edit changes one feature while the model writes: more of it, less of it, or none. Choose features here, or press <Kbd>x</Kbd> in any list.</p>
            )}
          </Empty>
        ) : (
          (run.state !== "failed" || run.original.tokens.length > 0) && (
            <>
              {slow && <p className="note waiting">waiting for the model; the first time it is loaded</p>}
              <div className="cols" style={{ gridTemplateColumns: `repeat(${2 + pins.length}, minmax(280px, 1fr))` }}>
                <TextColumn title="Original" text={run.original} shade={shade} features={features} state={run.state} />
                <TextColumn title="Steered" what={run.request.edits.map((edit) => spokenEdit({ ...edit, off: false })).join(", ")} text={run.steered} shade={shade} features={features} state={run.state} />
                {pins.map((each, at) => <TextColumn key={at} title="Pinned" what={each.what} text={each.text} shade={shade} features={features} state={null} onUnpin={() => setPins(pins.filter((_, k) => k !== at))} />)}
              </div>
              <div className="shadebar">
                {knowsLogp && shade === "surprise" && <span className="row">surprise without the edits <Ramp kind="cool" steps={5} /> log p −2 … −9</span>}
                {knowsActivations && shade === "feature" && <span className="row">activation of the edited features <Ramp /> max</span>}
                {knowsActivations && <span className="row"><i className="amberline" />an edited feature is active</span>}
                <span className="grow" />
                {run.steered.tokens.length > 0 && run.state !== "running" && <Button look="ghost" icon="pin" keys="p" className="tight" onClick={pin}>Pin</Button>}
                {(knowsLogp || knowsActivations) && <Segment label="Shade by" value={shade} onChange={(next) => setWords({ shade: next === "surprise" ? undefined : next })} options={[{ value: "surprise", text: "surprise", disabled: !knowsLogp }, { value: "feature", text: "feature", disabled: !knowsActivations }, { value: "none", text: "nothing" }]} />}
              </div>
              {run.state === "done" && same(run.original, run.steered) && <p className="note waiting">Both texts are the same: the edits are too weak to change a token. Try more than {active[0] ? spokenEdit(active[0]) : "this"}.</p>}
            </>
          )
        )}
      </div>
      {adding && (
        <PickFeature
          extraction={extraction}
          title="Add a feature to steer"
          onClose={() => setAdding(false)}
          onPick={(row) => {
            setAdding(false);
            if (!edits.some((edit) => edit.feature === row.index)) setEdits([...edits, { feature: row.index, mode: "add", amount: 1, unit: "max", off: false }]);
          }}
        />
      )}
    </Page>
  );
}

const same = (a: Text, b: Text) => a.tokens.length > 0 && a.tokens.length === b.tokens.length && a.tokens.every((token, at) => token.id === b.tokens[at]?.id);
