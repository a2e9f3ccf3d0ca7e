import { Popover } from "@base-ui/react/popover";
import { useQueries, useQueryClient } from "@tanstack/react-query";
import { useRef, useState, type ReactElement } from "react";
import { featureCount, type Query } from "../../api/features";
import { plural } from "../../lib/format";
import { typed } from "../../lib/where";
import { Button } from "../../parts/controls";
import { Empty } from "../../parts/states";
import { ApiError } from "../../api/client";

const SUGGESTIONS: readonly [text: string, starts: string, example: string][] = [
  ["density", "density<", "density<1%"],
  ["max", "max>", "max>10"],
  ["mean", "mean>", "mean>2"],
  ["samples", "active_samples>", "active_samples>50"],
  ["active tokens", "active_tokens>", "active_tokens>100"],
  ["score", "score>", "score>0.9"],
  ["score at least", "detection_low>", "detection_low>0.8"],
  ["label", "label~", "label~law"],
  ["written by", "label_source~", "label_source~llm"],
];
const FLAGS: readonly [string, string][] = [
  ["dead", "dead"],
  ["not dead", "not dead"],
  ["starred", "starred"],
  ["labelled", "labelled"],
  ["not labelled", "not labelled"],
];

interface Props {
  extraction: string;
  open: boolean;
  onOpen: (open: boolean) => void;
  onAdd: (clause: string) => void;
  trigger: ReactElement<Record<string, unknown>>;
}

/** A filter typed as after `--where`, or picked from the statistics there are. */
export function AddFilter({ extraction, open, onOpen, onAdd, trigger }: Props) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const client = useQueryClient();
  const add = async (clause: string) => {
    try {
      await client.fetchQuery(featureCount(extraction, { where: clause }));
    } catch (error) {
      setWrong(error instanceof ApiError ? `${error.message}${error.hint ? `; ${error.hint}` : ""}` : String(error));
      return;
    }
    onAdd(clause);
    setText("");
    setWrong("");
    onOpen(false);
  };
  return (
    <Popover.Root open={open} onOpenChange={onOpen}>
      <Popover.Trigger render={trigger} />
      <Popover.Portal>
        <Popover.Positioner sideOffset={4} align="start" className="above">
          <Popover.Popup className="menu-list filterbox" initialFocus={field} aria-label="Add a filter">
            <form
              onSubmit={(event) => {
                event.preventDefault();
                if (text.trim()) void add(typed(text));
              }}
            >
              <input ref={field} className="field mono" aria-label="Filter" placeholder="density<1%" value={text} spellCheck={false} onChange={(event) => { setText(event.target.value); setWrong(""); }} />
              <Button type="submit" disabled={!text.trim()}>Add</Button>
            </form>
            {wrong && <p className="bad" role="alert">△ {wrong}</p>}
            <ul>
              {SUGGESTIONS.map(([name, starts, example]) => (
                <li key={name}>
                  <button type="button" onClick={() => { setText(starts); field.current?.focus(); }}>{name}<span className="num">{example}</span></button>
                </li>
              ))}
              {FLAGS.map(([name, clause]) => (
                <li key={name}>
                  <button type="button" onClick={() => void add(clause)}>{name}</button>
                </li>
              ))}
            </ul>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

export interface Part {
  name: string;
  value: string;
  query: Query;
  remove: () => void;
}

/** Nothing matches: what removing each filter would give. */
export function NoMatch({ extraction, parts, clear }: { extraction: string; parts: readonly Part[]; clear: () => void }) {
  const counts = useQueries({ queries: parts.map((part) => featureCount(extraction, part.query)) });
  const words = ["no", "this filter", "both filters", "all three filters", "all four filters"];
  return (
    <Empty title={`No feature matches ${words[parts.length] ?? `all ${parts.length} filters`}`} actions={parts.length > 1 ? <Button onClick={clear}>Remove all</Button> : undefined}>
      <p>{parts.length > 1 ? "Without one of them:" : "Without it:"}</p>
      {parts.map((part, at) => (
        <button key={`${part.name}${part.value}`} type="button" className="without" onClick={part.remove}>
          <span className="acc grow cut">Remove {part.name} {part.value}</span>
          <span className="num dim">{counts[at]?.data ? plural(counts[at].data.matching, "feature") : "…"}</span>
        </button>
      ))}
    </Empty>
  );
}

