import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState, type Ref, useImperativeHandle } from "react";
import { dense, fire } from "../../api/fire";
import { fixed } from "../../lib/format";
import { useSettled } from "../../lib/hooks";
import { Button } from "../../parts/controls";
import { useSlow } from "../../parts/states";
import { Tokens, TokenTips } from "../../parts/tokens";

const KEPT = "saescope.try";
const FIRST = "My fellow citizens, we the people of the United States ask Congress to act.";

export interface TryHandle {
  focus: () => void;
}

/** Your own text through this one feature; the last text stays while you go from feature to feature. */
export function Try({ extraction, index, max, onPeak, ref }: { extraction: string; index: number; max: number; onPeak: (value: number | null) => void; ref: Ref<TryHandle> }) {
  const [text, setText] = useState(() => sessionStorage.getItem(KEPT) ?? "");
  const [open, setOpen] = useState(false);
  const settled = useSettled(text, 150);
  const field = useRef<HTMLTextAreaElement>(null);
  const settledIndex = useSettled(index, 150);
  const answer = useQuery(fire(extraction, settled, [settledIndex]));
  const waiting = useSlow(answer.isFetching, 1500);
  const fired = answer.data?.features.find((one) => one.index === index);
  const values = answer.data ? dense(fired, answer.data.tokens.length) : [];
  const peak = values.length ? values.reduce((best, value, at) => (value > values[best]! ? at : best), 0) : 0;
  const top = text.trim() && settledIndex === index && answer.data && !answer.isPlaceholderData ? (values[peak] ?? 0) : null;
  useEffect(() => onPeak(top), [top, onPeak]);
  useEffect(() => sessionStorage.setItem(KEPT, settled), [settled]);
  const show = () => {
    setOpen(true);
    requestAnimationFrame(() => field.current?.focus());
  };
  useImperativeHandle(ref, () => ({ focus: show }));
  const shown = text.trim() && answer.data;
  return (
    <section className="try" aria-label="Try your text">
      <div className="grow">
        {open && (
          <textarea
            ref={field}
            className="field mono try-field"
            aria-label="Your text"
            value={text}
            rows={2}
            spellCheck={false}
            maxLength={8000}
            placeholder={FIRST}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
                event.preventDefault();
                event.stopPropagation();
                event.currentTarget.blur();
                setOpen(false);
              }
            }}
          />
        )}
        {shown ? (
          <TokenTips max={max} className={answer.isFetching || answer.isPlaceholderData ? "stale" : ""}>
            <div className="toks out wrapped"><Tokens tokens={answer.data.tokens} activations={values} max={max} peak={values[peak]! > 0 ? peak : -1} /></div>
          </TokenTips>
        ) : (
          !open && <button type="button" className="dim out sm" onClick={show}>See what it does on a text of your own.</button>
        )}
        {answer.isError && <p className="bad sm" role="alert">△ {answer.error.message}</p>}
        <p className="xs dim" aria-live="polite">
          {waiting ? "waiting for the model; the first time takes some seconds" : shown && !answer.isError ? (values[peak]! > 0 ? `strongest ${fixed(values[peak], 2)}, ${Math.round((100 * values[peak]!) / max)} % of its max` : "not active on this text") : ""}
        </p>
      </div>
      <Button keys="t" onClick={() => (open ? setOpen(false) : show())} aria-expanded={open}>{open ? "Done" : "Try your text"}</Button>
    </section>
  );
}
