import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState, type KeyboardEvent, type ReactNode } from "react";
import { featureSearch, type FeatureRow } from "../api/features";
import { useSettled } from "../lib/hooks";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { Label } from "./label";
import { TokenChip } from "./tokens";

/** The part of a text that was searched for, marked. */
export function Marked({ text, query }: { text: string; query: string }): ReactNode {
  const at = query ? text.toLowerCase().indexOf(query.toLowerCase()) : -1;
  if (at < 0) return text;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, at + query.length)}</mark>
      {text.slice(at + query.length)}
    </>
  );
}

/** Up and down in a list of options, Enter to take one; for a field that keeps the focus. */
export function useOptions(count: number, take: (at: number) => void): { at: number; setAt: (at: number) => void; onKeyDown: (event: KeyboardEvent) => void } {
  const [chosen, setAt] = useState(0);
  const at = Math.min(chosen, Math.max(0, count - 1));
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      setAt(event.key.startsWith("Page") ? Math.max(0, Math.min(count - 1, to)) : (to + count) % Math.max(1, count));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (count) take(at);
    }
  };
  return { at, setAt, onKeyDown };
}

/** Choose one feature by label, top token or index. */
export function PickFeature({ extraction, title, onPick, onClose }: { extraction: string; title: string; onPick: (row: FeatureRow) => void; onClose: () => void }) {
  const [text, setText] = useState("");
  const settled = useSettled(text, 60);
  const found = useQuery({ ...featureSearch(extraction, settled, 12), placeholderData: keepPreviousData });
  const rows = found.data?.features ?? [];
  const { at, setAt, onKeyDown } = useOptions(rows.length, (place) => rows[place] && onPick(rows[place]));
  return (
    <Dialog open onClose={onClose} title={title} bare className="palette">
      <div className="palette-in">
        <Icon name="find" />
        <input role="combobox" aria-expanded="true" aria-controls="picked" aria-activedescendant={rows.length ? `pick-${at}` : undefined} aria-label={title} placeholder="Label, token or index" value={text} spellCheck={false} autoFocus onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={onKeyDown} />
        <span className="tag">in {extraction}</span>
        <kbd>Esc</kbd>
      </div>
      <div id="picked" role="listbox" aria-label="Features" className="palette-list">
        {rows.map((row, place) => (
          <div key={row.index} id={`pick-${place}`} role="option" aria-selected={place === at} className="it" onPointerMove={() => setAt(place)} onClick={() => onPick(row)}>
            <Icon name="grid" size={14} />
            <span className="num dim">{row.index}</span>
            <Label text={row.label} source={row.label_source} />
            <span className="row">{row.peaks_on.slice(0, 2).map((token, k) => <TokenChip key={k} text={token} />)}</span>
          </div>
        ))}
        {found.isSuccess && !rows.length && <p className="dim sm none">No feature for “{settled}”.</p>}
        {found.isError && <p className="bad sm none">△ {found.error.message}</p>}
      </div>
    </Dialog>
  );
}
