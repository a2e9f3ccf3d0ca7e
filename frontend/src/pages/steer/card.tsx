import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { Mode, Unit } from "../../api/steer";
import { fixed } from "../../lib/format";
import { IconButton, Select } from "../../parts/controls";
import { Label } from "../../parts/label";
import type { Edit } from "./edits";

const MODES: readonly { value: Mode; text: string }[] = [
  { value: "add", text: "add" },
  { value: "set", text: "set to" },
  { value: "min", text: "at least" },
  { value: "scale", text: "scale" },
  { value: "ablate", text: "ablate" },
];
const UNITS: readonly { value: Unit; text: string }[] = [
  { value: "max", text: "× max" },
  { value: "raw", text: "raw" },
  { value: "norm", text: "× norm" },
];
const TOP = 4;

interface Props {
  extraction: string;
  edit: Edit;
  label: string | null | undefined;
  labelSource: string | null | undefined;
  max: number | undefined;
  chosen: boolean;
  onChange: (edit: Edit) => void;
  onRemove: () => void;
  onChoose: () => void;
}

/** One change to one feature: on or off, how much, in which way. */
export function EditCard({ extraction, edit, label, labelSource, max, chosen, onChange, onRemove, onChoose }: Props) {
  const slides = edit.mode !== "ablate" && (edit.unit === "max" || edit.mode === "scale");
  return (
    <section className={`card ${edit.off ? "off" : ""}`} aria-label={`Edit of feature ${edit.feature}`} aria-current={chosen || undefined} onFocus={onChoose}>
      <div className="t">
        <input type="checkbox" checked={!edit.off} aria-label={`Edit of ${edit.feature} on`} onChange={(event) => onChange({ ...edit, off: !event.target.checked })} />
        <Link className="num acc" to="/features/$extraction/$index" params={{ extraction, index: String(edit.feature) }} title="Open the feature">{edit.feature}</Link>
        <b title={label ?? ""}><Label text={label} source={labelSource} className="clamp2" /></b>
        <IconButton icon="x" label="Remove edit" small onClick={onRemove} />
      </div>
      {slides && <Slider value={edit.amount} unit={edit.mode === "scale" ? "×" : "× max"} onChange={(amount) => onChange({ ...edit, amount })} feature={edit.feature} />}
      {edit.mode === "ablate" && <p className="xs dim">Its activation becomes 0 wherever the edit acts.</p>}
      <div className="g">
        <Select label="Mode" value={edit.mode} onChange={(mode) => onChange({ ...edit, mode })} options={MODES} />
        {edit.mode !== "ablate" && <Amount value={edit.amount} onChange={(amount) => onChange({ ...edit, amount })} />}
        {edit.mode !== "ablate" && edit.mode !== "scale" && <Select label="Unit" value={edit.unit} onChange={(unit) => onChange({ ...edit, unit })} options={UNITS} />}
      </div>
      {edit.mode !== "ablate" && edit.unit === "max" && edit.mode !== "scale" && max ? <p className="xs dim">{fixed(edit.amount * max, 1)} in its own units; its max is {fixed(max, 1)}</p> : null}
    </section>
  );
}

/** Any number, negative ones too; what cannot be read is not taken over. */
function Amount({ value, onChange }: { value: number; onChange: (value: number) => void }) {
  const [text, setText] = useState(String(value));
  useEffect(() => {
    if (Number(text) !== value) setText(String(value));
  }, [value]);
  const number = Number(text.replace("−", "-").replace(",", "."));
  const wrong = text.trim() === "" || !Number.isFinite(number);
  return (
    <input
      className="field num"
      inputMode="decimal"
      aria-label="Amount"
      aria-invalid={wrong || undefined}
      value={text}
      onChange={(event) => {
        setText(event.target.value);
        const next = Number(event.target.value.replace("−", "-").replace(",", "."));
        if (event.target.value.trim() !== "" && Number.isFinite(next)) onChange(next);
      }}
      onBlur={() => wrong && setText(String(value))}
    />
  );
}

/** 0 to 4; drags in steps of 0.05, with Shift 0.01. */
function Slider({ value, unit, onChange, feature }: { value: number; unit: string; onChange: (value: number) => void; feature: number }) {
  const shown = Math.min(TOP, Math.max(0, value));
  const [fine, setFine] = useState(false);
  return (
    <div className="sl" style={{ "--share": `${(100 * shown) / TOP}%` } as React.CSSProperties}>
      <input
        type="range"
        min={0}
        max={TOP}
        step={fine ? 0.01 : 0.05}
        value={shown}
        aria-label={`Amount of ${feature}`}
        aria-valuetext={`${value} ${unit}`}
        onPointerDown={(event) => setFine(event.shiftKey)}
        onKeyDown={(event) => {
          const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
          if (!by) return;
          event.preventDefault();
          event.stopPropagation();
          onChange(Number(Math.min(TOP, Math.max(0, value + by * (event.shiftKey ? 0.01 : 0.05))).toFixed(2)));
        }}
        onChange={(event) => onChange(Number(Number(event.target.value).toFixed(2)))}
      />
      <div className="ticks" aria-hidden="true">
        {[0, 1, 2, 3, 4].map((tick) => <span key={tick} style={{ left: `calc(8px + (100% - 16px) * ${tick / TOP})` }}>{tick === TOP ? `${tick} ${unit}` : tick}</span>)}
      </div>
    </div>
  );
}
