import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { writeLabel } from "../../api/actions";
import type { FeatureDetail } from "../../api/feature";
import { moment, plural } from "../../lib/format";
import { Button } from "../../parts/controls";
import { author, Labels, ScoreText, scoresOf } from "./labels";

interface Props {
  extraction: string;
  data: FeatureDetail;
  editing: boolean;
  onEditing: (editing: boolean) => void;
  history: boolean;
  onHistory: (open: boolean) => void;
  onNote: () => void;
  onRelabel: () => void;
  narrow: boolean;
}

/** Index and label, edited in place; its scores and who wrote it; on demand every label there was. */
export function Head({ extraction, data, editing, onEditing, history, onHistory, onNote, onRelabel, narrow }: Props) {
  const client = useQueryClient();
  const current = data.labels.find((label) => label.current) ?? data.labels[0];
  const heading = useRef<HTMLHeadingElement>(null);
  const [whole, setWhole] = useState(false);
  useEffect(() => setWhole(false), [data.index]);
  const save = useMutation({ mutationFn: (words: string) => writeLabel(client, extraction, data.index, words), onSuccess: () => leave() });
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
                {!data.dead && <Button look="ghost" keys="r" onClick={onRelabel}>Label anew</Button>}
                <Button look="ghost" keys="e" onClick={() => onEditing(true)}>Edit</Button>
              </span>
            )}
          </>
        )}
      </div>
      <div className="who">
        {current ? (
          <>
            {scoresOf(current).map(([method, score]) => <ScoreText key={method} method={method} score={score} />)}
            {!scoresOf(current).length && <span>not scored · <button type="button" className="acc" onClick={onRelabel}>score one</button></span>}
            <span>{current.source === "lexical" ? "made by rule" : `written by ${author(current)}`}, {moment(current.created)}</span>
            <button type="button" className="acc" aria-expanded={history} onClick={() => onHistory(!history)}>{plural(data.labels.length, "label")} {history ? "▴" : "▾"}</button>
          </>
        ) : (
          <span>nobody has described it · <button type="button" className="acc" onClick={() => onEditing(true)}>write a label</button>{!data.dead && <> or <button type="button" className="acc" onClick={onRelabel}>have one written</button></>}</span>
        )}
      </div>
      {history && data.labels.length > 0 && <Labels extraction={extraction} data={data} />}
    </header>
  );
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
