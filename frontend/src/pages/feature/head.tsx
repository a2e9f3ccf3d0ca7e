import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { showLabel, writeLabel } from "../../api/actions";
import type { FeatureDetail, LabelRow } from "../../api/feature";
import { fixed, moment, plural } from "../../lib/format";
import { Button } from "../../parts/controls";
import { Icon } from "../../parts/icons";

interface Props {
  extraction: string;
  data: FeatureDetail;
  editing: boolean;
  onEditing: (editing: boolean) => void;
  history: boolean;
  onHistory: (open: boolean) => void;
  onNote: () => void;
  narrow: boolean;
}

const author = (label: LabelRow) => (label.source === "person" ? "you" : label.source === "lexical" ? "rule" : (label.model ?? label.source));

/** The shown label's figures: its scores by method, or how many examples a rule covers. */
export function scoresOf(label: LabelRow): [string, number][] {
  const scores = Object.entries(label.scores ?? {}).map(([method, score]): [string, number] => [method, score.value]);
  return scores.length || label.clarity == null ? scores : [["clarity", label.clarity]];
}

/** Index and label, edited in place; its scores, who wrote it, and every label there was. */
export function Head({ extraction, data, editing, onEditing, history, onHistory, onNote, narrow }: Props) {
  const client = useQueryClient();
  const current = data.labels.find((label) => label.current) ?? data.labels[0];
  const heading = useRef<HTMLHeadingElement>(null);
  const [whole, setWhole] = useState(false);
  useEffect(() => setWhole(false), [data.index]);
  const save = useMutation({ mutationFn: (words: string) => writeLabel(client, extraction, data.index, words), onSuccess: () => leave() });
  const choose = useMutation({ mutationFn: (label: LabelRow) => showLabel(client, extraction, data.index, label) });
  const leave = () => {
    onEditing(false);
    save.reset();
  };
  const edited = useRef(false);
  useEffect(() => {
    if (edited.current && !editing) heading.current?.focus({ preventScroll: true }); // where the form was, once it is there
    edited.current = editing;
  }, [editing]);
  const made = data.label && current?.source === "lexical";
  return (
    <header className="head">
      <div className="title">
        <span className="idx">{data.index}</span>
        {editing ? (
          <LabelForm data={data} busy={save.isPending} failed={save.error} onSave={(words) => save.mutate(words)} onLeave={leave} />
        ) : (
          <>
            <h2 ref={heading} tabIndex={-1} className={`${data.label ? (made ? "soft" : "") : "dim"} ${whole ? "" : "clamp"}`} onDoubleClick={() => onEditing(true)} onClick={() => setWhole(true)}>
              <bdi>{data.label ?? "no label yet"}</bdi>
            </h2>
            {!narrow && (
              <span className="row acts">
                <Button look="ghost" icon="note" onClick={onNote}>Note</Button>
                <Button look="ghost" keys="e" onClick={() => onEditing(true)}>Edit</Button>
              </span>
            )}
          </>
        )}
      </div>
      <div className="who">
        {current ? (
          <>
            {scoresOf(current).map(([method, value]) => (
              <span key={method} title={method === "clarity" ? "share of its examples that the rule covers" : interval(current, method)}>
                {method} <b className="mono soft">{fixed(value)}</b>
              </span>
            ))}
            {!scoresOf(current).length && <span>not scored</span>}
            <span className="sep">·</span>
            <span>{current.source === "lexical" ? "made by rule" : `written by ${author(current)}`}, {moment(current.created)}</span>
            <span className="sep">·</span>
            <button type="button" className="acc" aria-expanded={history} onClick={() => onHistory(!history)}>{plural(data.labels.length, "label")} {history ? "▴" : "▾"}</button>
          </>
        ) : (
          <span>nobody has described it · <button type="button" className="acc" onClick={() => onEditing(true)}>write a label</button></span>
        )}
      </div>
      {history && data.labels.length > 0 && (
        <ol className="history" aria-label="Labels, newest first">
          {data.labels.map((label, at) => {
            const shown = label === current;
            return (
              <li key={label.id ?? at}>
                <span className="acc">{shown && <Icon name="check" size={14} />}</span>
                <bdi className={shown ? "text" : "text soft"}>{label.text}</bdi>
                <span className="dim cut">{author(label)}</span>
                <span className="dim">{moment(label.created)}</span>
                <span className="num">{scoresOf(label)[0] ? fixed(scoresOf(label)[0]![1]) : "–"}</span>
                <span>{!shown && <button type="button" className="acc" disabled={choose.isPending} onClick={() => choose.mutate(label)}>Show this</button>}</span>
              </li>
            );
          })}
          {choose.isError && <li><span className="bad">△</span><span className="text bad">{choose.error.message}</span></li>}
        </ol>
      )}
    </header>
  );
}

function interval(label: LabelRow, method: string): string {
  const score = label.scores[method];
  if (!score) return "";
  const parts = [score.low != null && score.high != null ? `95 % interval ${fixed(score.low)} to ${fixed(score.high)}` : "", score.n ? `${score.n} examples` : "", score.chance != null ? `chance ${fixed(score.chance)}` : ""];
  return parts.filter(Boolean).join(", ");
}

interface FormProps {
  data: FeatureDetail;
  busy: boolean;
  failed: Error | null;
  onSave: (text: string) => void;
  onLeave: () => void;
}

/** Write a label: Enter keeps it, Esc leaves everything as it was. */
function LabelForm({ data, busy, failed, onSave, onLeave }: FormProps) {
  const [text, setText] = useState(data.label ?? "");
  return (
    <form
      className="grow"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() && text.trim() !== data.label) onSave(text.trim());
        else onLeave();
      }}
    >
      <textarea
        autoFocus
        onFocus={(event) => event.currentTarget.select()}
        className="field label-field"
        aria-label={`Label of feature ${data.index}`}
        value={text}
        rows={2}
        maxLength={2000}
        placeholder="What is it active on?"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          } else if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            onLeave();
          }
        }}
      />
      <div className="row form-foot">
        {failed ? <span className="bad sm" role="alert">△ {failed.message}</span> : <span className="xs dim">Kept as a new label by you; the others stay in the history.</span>}
        <span className="grow" />
        <Button onClick={onLeave} keys="Esc">Leave</Button>
        <Button look="primary" type="submit" disabled={busy || !text.trim()} keys="↵">Save</Button>
      </div>
    </form>
  );
}
