import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { star } from "../../api/actions";
import { feature } from "../../api/feature";
import { plural } from "../../lib/format";
import { useStable, useWords } from "../../lib/hooks";
import { useKeys } from "../../lib/keys";
import { setTray, tray } from "../../lib/tray";
import { fieldName } from "../../lib/where";
import { useNarrow } from "../../lib/width";
import { Button, IconButton, Kbd, Segment } from "../../parts/controls";
import { Labellings } from "../../parts/labelling";
import { Menu } from "../../parts/menu";
import { Page } from "../../parts/page";
import { Relabel } from "../../parts/relabel";
import { Empty, Failure, Loading } from "../../parts/states";
import { copy } from "../../parts/toast";
import { queryOf, sortOf } from "../features/query";
import { Examples, type Width } from "./examples";
import { Head } from "./head";
import { FeatureList, useNeighbours } from "./list";
import { Side } from "./side";
import { strata } from "./strata";
import { Try, type TryHandle } from "./try";
import "./feature.css";

export function Feature() {
  const { extraction, index: written } = useParams({ strict: false }) as { extraction: string; index: string };
  const index = Number(written);
  const [words, setWords] = useWords();
  const navigate = useNavigate();
  const client = useQueryClient();
  const narrow = useNarrow();
  const answer = useQuery({ ...feature(extraction, index), enabled: Number.isInteger(index) && index >= 0, placeholderData: (old) => (old?.extraction === extraction ? old : undefined) });
  const data = answer.data;
  const query = useMemo(() => queryOf(words), [words.q, words.where, words.brush, words.sort]);
  const keep = { q: words.q, where: words.where, brush: words.brush, sort: words.sort };

  const groups = useMemo(() => strata(data?.examples ?? []), [data]);
  const group = groups.find((one) => one.id === (words.s ?? "top")) ?? groups[0]!;
  const kept = Math.max(0, ...group.examples.map((one) => one.tokens.length));
  const width: Width = words.w === "5" || words.w === "16" || words.w === "full" ? words.w : narrow ? "5" : "16";
  const breaks = words.l === "1";
  const byRow = words.m === "row";
  const [at, setAt] = useState(0);
  const [token, setToken] = useState<number | null>(null);
  const open = useMemo(() => new Set((words.open ?? "").split(",").filter(Boolean).map(Number)), [words.open]);
  const [editing, setEditing] = useState(false);
  const history = words.h === "1";
  const setHistory = (open: boolean) => setWords({ h: open ? "1" : undefined });
  const [relabelling, setRelabelling] = useState(false);
  const [tried, setTried] = useState<number | null>(null);
  const beside = useNeighbours(extraction, query, index);
  const note = useRef<HTMLTextAreaElement>(null);
  const trying = useRef<TryHandle>(null);
  useEffect(() => {
    setAt(0);
    setToken(null);
    setEditing(false);
  }, [index, group.id]);

  const go = useStable((target: number | null) => {
    if (target === null) return;
    void navigate({ to: "/features/$extraction/$index", params: { extraction, index: String(target) }, search: { ...words, open: undefined } as never, replace: true, resetScroll: false });
  });
  const onStep = useStable((by: 1 | -1) => go(by > 0 ? beside.next : beside.previous));
  const toggle = useStable((sample: number) => {
    const next = new Set(open);
    if (!next.delete(sample)) next.add(sample);
    setWords({ open: [...next].join(",") || undefined });
  });
  const toSteer = () => {
    setTray(extraction, [...new Set([...tray(extraction), index])]);
    void navigate({ to: "/steer/$extraction", params: { extraction } });
  };
  const writeNoteHere = () => {
    note.current?.scrollIntoView({ block: "nearest" });
    note.current?.focus();
  };
  const example = group.examples[at];
  const moveToken = (by: number) => {
    if (!example) return;
    const from = token ?? example.peak - example.start;
    setToken(token === null ? from : Math.max(0, Math.min(example.tokens.length - 1, from + by)));
  };
  const starIt = () => data && void star(client, extraction, data.index, !data.starred);
  const widths: Width[] = ["5", "16", "full"];
  const copyExamples = () => void copy(group.examples.map((one) => JSON.stringify(one)).join("\n"), `${plural(group.examples.length, "example")} copied as JSON lines`);

  useKeys("Feature", [
    { keys: ["j"], label: "Next feature", run: () => onStep(1) },
    { keys: ["k"], label: "Previous feature", run: () => onStep(-1) },
    ...groups.slice(0, 6).map((one, k) => ({ keys: [String(k + 1)], label: `Examples: ${one.name}`, run: () => setWords({ s: one.id === "top" ? undefined : one.id, open: undefined }) })),
    { keys: ["w"], label: "Snippet width", run: () => setWords({ w: widths[(widths.indexOf(width) + 1) % 3] }) },
    { keys: ["l"], label: "Line breaks", run: () => setWords({ l: breaks ? undefined : "1" }) },
    { keys: ["ArrowDown"], label: "Next example", run: () => { setAt(Math.min(group.examples.length - 1, at + 1)); setToken(null); } },
    { keys: ["ArrowUp"], label: "Previous example", run: () => { setAt(Math.max(0, at - 1)); setToken(null); } },
    { keys: ["ArrowRight"], label: "Next token", run: () => moveToken(1) },
    { keys: ["ArrowLeft"], label: "Previous token", run: () => moveToken(-1) },
    { keys: ["Enter"], label: "Open the example", run: (event) => { if (event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement) event.target.click(); else if (example) toggle(example.sample); } },
    { keys: ["Escape"], label: "Close", run: () => { setToken(null); if (history) setHistory(false); } },
    { keys: ["e"], label: "Write a label", run: () => setEditing(true) },
    { keys: ["r"], label: "Label it anew", run: () => data && !data.dead && setRelabelling(true) },
    { keys: ["h"], label: "Labels there are, side by side", run: () => setHistory(!history) },
    { keys: ["n"], label: "Note", run: writeNoteHere },
    { keys: ["s"], label: "Star", run: starIt },
    { keys: ["t"], label: "Try your text", run: () => trying.current?.focus() },
    { keys: ["x"], label: "Steer with it", run: toSteer },
    { keys: ["u"], label: "Up to the list", run: () => void navigate({ to: "/features/$extraction", params: { extraction }, search: keep as never }) },
  ]);

  const sort = sortOf(words.sort);
  const sortedBy = sort.map((key) => fieldName(key.field)).join(", then ");
  const stale = answer.isPlaceholderData;
  return (
    <Page
      crumbs={[{ text: extraction, to: `/features/${encodeURIComponent(extraction)}` }, { text: "Features", to: `/features/${encodeURIComponent(extraction)}` }]}
      title={written}
      className="feature"
      actions={
        data && (
          <>
            {narrow ? (
              <>
                <IconButton icon="left" label="Previous" keys="k" onClick={() => onStep(-1)} disabled={beside.previous === null} />
                <IconButton icon="right" label="Next" keys="j" onClick={() => onStep(1)} disabled={beside.next === null} />
              </>
            ) : (
              <>
                <Button look="ghost" icon="steer" onClick={toSteer}>Steer</Button>
                <IconButton icon="link" label="Copy link" keys="y" onClick={() => void copy(location.href, "Link copied")} />
              </>
            )}
            <IconButton icon="star" label={data.starred ? "Remove star" : "Star"} keys="s" filled={data.starred} on={data.starred} onClick={starIt} aria-pressed={data.starred} />
            <Menu
              label="More"
              trigger={<IconButton icon="more" label="More" />}
              choices={[
                ...(narrow
                  ? [
                      { text: "Write a label", icon: "pencil" as const, run: () => setEditing(true) },
                      ...(data.dead ? [] : [{ text: "Label it anew", icon: "label" as const, run: () => setRelabelling(true) }]),
                      { text: "Note", icon: "note" as const, run: writeNoteHere },
                      { text: "Steer with it", icon: "steer" as const, run: toSteer },
                      { text: "Copy link", icon: "link" as const, run: () => void copy(location.href, "Link copied") },
                    ]
                  : []),
                { text: "Copy these examples as JSON lines", icon: "copy", run: copyExamples },
                { text: "Copy index and label", icon: "copy", run: () => void copy(`${data.index}\t${data.label ?? ""}`, "Copied") },
                null,
                { text: "Colours from each row’s own max", checked: byRow, run: () => setWords({ m: byRow ? undefined : "row" }) },
              ]}
            />
          </>
        )
      }
    >
      {!narrow && <FeatureList extraction={extraction} query={query} index={index} search={keep} beside={beside} onStep={onStep} sortedBy={sortedBy} />}
      <div className="mid">
        <Loading busy={answer.isFetching} label="Reading the feature" />
        {answer.isError ? (
          <Failure error={answer.error} retry={() => void answer.refetch()} />
        ) : !Number.isInteger(index) ? (
          <Empty title={`“${written}” is no feature’s index`} />
        ) : data ? (
          <>
            <Head extraction={extraction} data={data} editing={editing && !stale} onEditing={setEditing} history={history} onHistory={setHistory} onNote={writeNoteHere} onRelabel={() => setRelabelling(true)} narrow={narrow} />
            <Labellings extraction={extraction} />
            <Relabel extraction={extraction} features={String(data.index)} count={1} open={relabelling} onClose={() => setRelabelling(false)} />
            <Try ref={trying} extraction={extraction} index={data.index} max={data.max} onPeak={setTried} />
            {data.dead ? (
              <Empty title="Never active on this dataset">
                <p>No token of the extraction made it fire, so there are no examples. What its weights say stands beside: the tokens it writes and its nearest features. It may still be active on a text of your own.</p>
              </Empty>
            ) : (
              <>
                <div className="extabs">
                  <div className="strata" role="tablist" aria-label="Examples by activation">
                    {groups.map((one) => (
                      <button
                        key={one.id}
                        type="button"
                        role="tab"
                        aria-selected={one === group}
                        tabIndex={one === group ? 0 : -1}
                        disabled={!one.examples.length}
                        onClick={() => setWords({ s: one.id === "top" ? undefined : one.id, open: undefined })}
                        onKeyDown={(event) => {
                          const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
                          if (!by) return;
                          event.preventDefault();
                          event.stopPropagation();
                          const live = groups.filter((each) => each.examples.length);
                          const next = live[(live.indexOf(one) + by + live.length) % live.length];
                          if (next) setWords({ s: next.id === "top" ? undefined : next.id, open: undefined });
                          (event.currentTarget.parentElement?.children[groups.indexOf(next ?? one)] as HTMLElement | undefined)?.focus();
                        }}
                      >
                        {one.name}
                        <span className="num">{one.range}</span>
                      </button>
                    ))}
                  </div>
                  <span className="grow" />
                  <Segment label="Snippet width in tokens" value={width} onChange={(next) => setWords({ w: next })} options={[{ value: "5", text: "5" }, { value: "16", text: "16" }, { value: "full", text: "Full", title: `all ${kept} tokens kept around each peak, wrapped` }]} />
                  <IconButton icon="wrap" label="Line breaks" keys="l" on={breaks} aria-pressed={breaks} onClick={() => setWords({ l: breaks ? undefined : "1" })} />
                </div>
                {data.active_samples < 5 && <p className="note few">Active in {plural(data.active_samples, "sample")} only; quantiles mean little.</p>}
                <div className={stale ? "exwrap stale" : "exwrap"} tabIndex={0} role="tabpanel" aria-label={`Examples: ${group.name}`}>
                  <Examples data={data} examples={group.examples} width={width} breaks={breaks} byRow={byRow} at={at} token={token} open={open} onToggle={toggle} onAt={setAt} />
                  {width === "full" && <p className="xs dim few">All that the extraction kept: {kept} tokens around each sample’s peak. More are kept by extracting with a larger <span className="mono">window</span>.</p>}
                  {!group.examples.length && <p className="dim sm few">No example in this range.</p>}
                </div>
              </>
            )}
            <div className="foot keys">
              <span><Kbd>j</Kbd> <Kbd>k</Kbd> feature</span>
              <span><Kbd>1</Kbd>–<Kbd>6</Kbd> stratum</span>
              <span><Kbd>w</Kbd> width</span>
              <span><Kbd>↑</Kbd> <Kbd>↓</Kbd> example</span>
              <span><Kbd>←</Kbd> <Kbd>→</Kbd> token</span>
              <span><Kbd>e</Kbd> label</span>
              <span><Kbd>s</Kbd> star</span>
              <span><Kbd>n</Kbd> note</span>
              <span><Kbd>x</Kbd> steer</span>
              <span><Kbd>?</Kbd> all</span>
            </div>
          </>
        ) : null}
      </div>
      {data && !answer.isError && <Side extraction={extraction} data={data} tried={tried} note={note} />}
    </Page>
  );
}

