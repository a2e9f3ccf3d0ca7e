import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { startJob, type Job } from "../api/jobs";
import { schema, type Field, type Schema } from "../api/queries";
import { fieldName } from "../lib/format";
import { useWords, type Words } from "../lib/hooks";
import { useKeys } from "../lib/keys";
import { Button, Checkbox } from "./controls";
import { Icon } from "./icons";
import { Failure } from "./states";

export interface Choices {
  [field: string]: readonly { value: string; text?: string }[];
}

interface Props {
  verb: string;
  /** Fields that are always shown, in this order; the others are folded. */
  first: readonly string[];
  /** Fields that are not asked here. */
  hidden?: readonly string[];
  /** What some fields can be chosen from. */
  choices?: Choices;
  /** What some fields hold before anything is chosen. */
  initial?: Record<string, string>;
  /** Parts of the spec that are settled where the form stands, and not asked. */
  fixed?: Record<string, unknown>;
  /** Where what is typed is kept: the address, unless it is a window's own. */
  state?: Words;
  action: string;
  /** Drawn in place of a field's input. */
  inputs?: Record<string, (value: string, set: (value: string) => void) => ReactNode>;
  aside?: (spec: Record<string, unknown> | null) => ReactNode;
  /** What follows when the job has been queued; by default its page is opened. */
  onStart?: (job: Job) => void;
}

/** The parts of a field that is something or nothing. */
export function core(field: Field): Field {
  const some = field.anyOf?.find((one) => one.type !== "null" && one.const === undefined) ?? field.anyOf?.[0];
  return some ? { ...some, description: field.description ?? "", default: field.default } : field;
}

/** What was typed, as the spec wants it; undefined for "by default"; an error says what would work. */
export function read(name: string, field: Field, text: string | undefined): { value?: unknown; error?: string } {
  const part = core(field);
  const raw = (text ?? "").trim();
  if (raw === "") return {};
  if (field.anyOf?.some((one) => one.const === raw)) return { value: raw };
  if (part.type === "boolean") return { value: raw === "1" || raw === "true" };
  if (part.type === "array") {
    const items = raw.split(",").map((item) => item.trim()).filter(Boolean);
    return { value: part.items?.type === "integer" || part.items?.type === "number" ? items.map(Number) : items };
  }
  if (part.type === "integer" || part.type === "number") {
    const number = Number(raw.replaceAll(/[,_  ]/g, ""));
    if (!Number.isFinite(number)) return { error: `${fieldName(name)} is a number` };
    if (part.type === "integer" && !Number.isInteger(number)) return { error: `${fieldName(name)} is a whole number` };
    if (part.exclusiveMinimum !== undefined && number <= part.exclusiveMinimum) return { error: `${fieldName(name)} is more than ${part.exclusiveMinimum}` };
    if (part.minimum !== undefined && number < part.minimum) return { error: `${fieldName(name)} is at least ${part.minimum}` };
    if (part.exclusiveMaximum !== undefined && number >= part.exclusiveMaximum) return { error: `${fieldName(name)} is less than ${part.exclusiveMaximum}` };
    if (part.maximum !== undefined && number > part.maximum) return { error: `${fieldName(name)} is at most ${part.maximum}` };
    return { value: number };
  }
  return { value: text };
}

const NOTHING = {};

/** A form drawn from a spec: one sentence a field, in the spec's own words. */
export function SpecForm({ verb, first, hidden = [], choices = {}, initial = NOTHING, fixed = NOTHING, state, action, inputs = {}, aside, onStart }: Props) {
  const answer = useQuery(schema(verb));
  const address = useWords();
  const [words, setWords] = state ?? address;
  const navigate = useNavigate();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [folded, setFolded] = useState(true);
  const known: Schema | undefined = answer.data;
  const valueOf = (name: string) => words[name] ?? initial[name] ?? "";
  const asked = (name: string) => !hidden.includes(name) && !(name in fixed);
  const { spec, errors } = useMemo(() => {
    const found: Record<string, unknown> = { ...fixed };
    const wrong: Record<string, string> = {};
    for (const [name, field] of Object.entries(known?.properties ?? {})) {
      if (!asked(name)) continue;
      const { value, error } = read(name, field, valueOf(name));
      if (error) wrong[name] = error;
      else if (value !== undefined) found[name] = value;
    }
    return { spec: found, errors: wrong };
  }, [known, words, initial, fixed, hidden]);
  const missing = (known?.required ?? []).filter((name) => spec[name] === undefined && asked(name));
  const ready = known !== undefined && !Object.keys(errors).length && !missing.length;
  useEffect(() => setFailed(null), [words]);

  const start = async () => {
    if (!ready || busy) return;
    setBusy(true);
    try {
      const job = await startJob(verb, spec);
      await client.invalidateQueries({ queryKey: ["jobs"] });
      if (onStart) onStart(job);
      else void navigate({ to: "/jobs/$id", params: { id: job.id } });
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  };
  useKeys(action, [{ keys: ["Ctrl+Enter"], label: action, inFields: true, inWindows: true, run: () => void start() }]);

  if (answer.isError) return <Failure error={answer.error} retry={() => void answer.refetch()} />;
  if (!known) return null;
  const names = Object.keys(known.properties).filter(asked);
  const rest = names.filter((name) => !first.includes(name));
  const blamed = failed instanceof ApiError ? names.find((name) => failed.message.startsWith(`${name.replaceAll("_", "-")}:`)) : undefined;
  const line = (name: string) => {
    const field = known.properties[name];
    if (!field) return null;
    const part = core(field);
    const text = valueOf(name);
    const set = (value: string) => setWords({ [name]: value === (initial[name] ?? "") ? undefined : value });
    const wrong = errors[name] ?? (blamed === name && failed instanceof ApiError ? failed.message : undefined);
    const by = part.default === null || part.default === undefined ? (known.required?.includes(name) ? "" : "by default") : Array.isArray(part.default) ? part.default.join(", ") : String(part.default);
    return (
      <div key={name} className="fieldline">
        <label htmlFor={`f-${name}`}>{fieldName(name)}</label>
        <div className="fieldbox">
          {inputs[name]?.(text, set) ?? <Input name={name} field={part} text={text} set={set} options={choices[name]} placeholder={by} wrong={Boolean(wrong)} />}
        </div>
        <p id={`h-${name}`} className={wrong ? "bad" : "dim"}>{wrong ? <>△ {wrong}</> : field.description}</p>
      </div>
    );
  };
  return (
    <form className="specform" onSubmit={(event) => { event.preventDefault(); void start(); }}>
      <div className="fields">
        {first.filter((name) => names.includes(name)).map(line)}
        {rest.length > 0 && (
          <button type="button" className="fold" aria-expanded={!folded} onClick={() => setFolded(!folded)}>
            <Icon name={folded ? "right" : "down"} size={14} />
            <span>{folded ? "More" : "Fewer"}: <span className="dim">{rest.map(fieldName).join(", ")}</span></span>
          </button>
        )}
        {!folded && rest.map(line)}
        {Boolean(failed) && !blamed && <Failure error={failed} />}
      </div>
      <div className="formside">
        {aside?.(ready ? spec : null)}
        <Button look="primary" type="submit" keys="Ctrl ↵" disabled={!ready || busy}>{action}</Button>
        {missing.length > 0 && <p className="xs dim">Still to say: {missing.map(fieldName).join(", ")}.</p>}
      </div>
    </form>
  );
}

function Input({ name, field, text, set, options, placeholder, wrong }: { name: string; field: Field; text: string; set: (value: string) => void; options: readonly { value: string; text?: string }[] | undefined; placeholder: string; wrong: boolean }) {
  const common = { id: `f-${name}`, "aria-describedby": `h-${name}`, "aria-invalid": wrong || undefined };
  if (field.type === "boolean") return <Checkbox {...common} checked={text === "1" || text === "true"} onChange={(event) => set(event.target.checked ? "1" : "")}>yes</Checkbox>;
  if (field.type === "array" && options) {
    const chosen = text.split(",").filter(Boolean);
    return (
      <div className="many" role="group" aria-label={fieldName(name)}>
        {options.map((option) => (
          <Checkbox key={option.value} checked={chosen.includes(option.value)} onChange={(event) => set((event.target.checked ? [...chosen, option.value] : chosen.filter((one) => one !== option.value)).join(","))}>
            {option.text ?? option.value}
          </Checkbox>
        ))}
        {!options.length && <span className="dim sm">none here yet</span>}
      </div>
    );
  }
  const listed = field.enum?.map((value) => ({ value, text: value })) ?? options;
  if (listed && (field.enum || listed.length < 40))
    return (
      <select {...common} className="field" value={text} onChange={(event) => set(event.target.value)}>
        {!(field.enum && field.default !== undefined && text) && <option value="">{placeholder || "choose"}</option>}
        {listed.map((option) => <option key={option.value} value={option.value}>{option.text ?? option.value}</option>)}
      </select>
    );
  const numeric = field.type === "integer" || field.type === "number";
  return (
    <>
      <input {...common} className={numeric ? "field num" : "field"} inputMode={numeric ? "decimal" : "text"} value={text} placeholder={placeholder} spellCheck={false} list={listed ? `l-${name}` : undefined} onChange={(event) => set(event.target.value)} />
      {listed && <datalist id={`l-${name}`}>{listed.map((option) => <option key={option.value} value={option.value} />)}</datalist>}
    </>
  );
}
