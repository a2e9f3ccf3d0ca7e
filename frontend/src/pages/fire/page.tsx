import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { dense as denseValues, fire } from "../../api/fire";
import { fixed, int, plural } from "../../lib/format";
import { useWords } from "../../lib/hooks";
import { useKeys } from "../../lib/keys";
import { toggleTray } from "../../lib/tray";
import { Button, Checkbox, IconButton, Kbd, Segment } from "../../parts/controls";
import { Label } from "../../parts/label";
import { Page } from "../../parts/page";
import { Empty, Failure, Loading, useSlow } from "../../parts/states";
import { copy, toast } from "../../parts/toast";
import { level, Ramp, TokenChip, tokenText, TokenTips } from "../../parts/tokens";
import { byToken, DENSE, rank, type By } from "./ranking";
import "./fire.css";

const KEPT = "saescope.fire";
const LONGEST_LINK = 2000;
const SHOWN = 60;

export function Fire() {
  const { extraction } = useParams({ strict: false }) as { extraction: string };
  const [words, setWords] = useWords();
  const navigate = useNavigate();
  const kept = sessionStorage.getItem(KEPT) ?? "";
  const text = words.text ?? kept;
  const [typed, setTyped] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const ranks = useRef<HTMLOListElement>(null);
  useEffect(() => setTyped(text), [text]);

  const answer = useQuery({ ...fire(extraction, text), placeholderData: keepPreviousData });
  const data = text.trim() ? answer.data : undefined;
  const cold = useSlow(answer.isFetching, 1200);
  const by: By = words.by === "share" || words.by === "rarity" ? words.by : "activation";
  const filters = { dense: words.dense !== "0", labelled: words.labelled === "1", by };
  const bos = words.bos !== "1";
  const table = useMemo(() => (data ? byToken(data) : []), [data]);

  const strongest = useMemo(() => {
    let best = 0;
    let most = -1;
    table.forEach((active, position) => {
      if (bos && data?.special[position]) return;
      const top = rank(active, filters).shown[0];
      const share = top ? top.value / (top.feature.max || 1) : -1;
      if (share > most) {
        most = share;
        best = position;
      }
    });
    return best;
  }, [table, filters.dense, filters.labelled, by, bos]);
  const position = data ? Math.min(data.tokens.length - 1, words.p === undefined ? strongest : Math.max(0, Number(words.p) || 0)) : 0;
  const ranking = useMemo(() => rank(bos && data?.special[position] ? [] : (table[position] ?? []), filters), [table, position, filters.dense, filters.labelled, by, bos]);
  const wanted = Number(words.f);
  const chosen = ranking.shown.find((one) => one.feature.index === wanted)?.feature ?? data?.features.find((one) => words.f !== undefined && one.index === wanted) ?? ranking.shown[0]?.feature;
  const place = ranking.shown.findIndex((one) => one.feature === chosen);
  const values = useMemo(() => (data ? denseValues(chosen, data.tokens.length) : []), [data, chosen]);

  const run = () => {
    const next = typed.trim() ? typed : "";
    sessionStorage.setItem(KEPT, next);
    if (next === text) void answer.refetch();
    setWords({ text: next.length <= LONGEST_LINK ? next || undefined : undefined, p: undefined, f: undefined }, { push: true });
    field.current?.blur();
  };
  const toToken = (by: number) => {
    if (!data) return;
    setWords({ p: String(Math.max(0, Math.min(data.tokens.length - 1, position + by))), f: undefined });
  };
  const toFeature = (by: number) => {
    const next = ranking.shown[Math.max(0, Math.min(ranking.shown.length - 1, place + by))];
    if (next) setWords({ f: String(next.feature.index), p: String(position) });
  };
  const open = (index: number) => void navigate({ to: "/features/$extraction/$index", params: { extraction, index: String(index) } });
  const addToSteer = (index: number) => toast(toggleTray(extraction, index) ? `${index} added to Steer` : `${index} taken out of Steer`, () => toggleTray(extraction, index));
  useEffect(() => {
    const list = ranks.current;
    const item = list?.querySelector<HTMLElement>("[aria-current]");
    if (!list || !item || list.scrollHeight <= list.clientHeight) return;
    const top = item.offsetTop - list.offsetTop;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + item.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + item.offsetHeight - list.clientHeight;
  }, [place]);

  useKeys("Fire", [
    { keys: ["Ctrl+Enter"], label: "Fire", inFields: true, run },
    { keys: ["/", "i"], label: "Edit the text", run: () => field.current?.focus() },
    { keys: ["ArrowLeft"], label: "Previous token", run: () => toToken(-1) },
    { keys: ["ArrowRight"], label: "Next token", run: () => toToken(1) },
    { keys: ["ArrowDown", "j"], label: "Next feature", run: () => toFeature(1) },
    { keys: ["ArrowUp", "k"], label: "Previous feature", run: () => toFeature(-1) },
    { keys: ["Enter"], label: "Open the feature", run: (event) => { if (event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement) event.target.click(); else if (chosen) open(chosen.index); } },
    { keys: ["d"], label: "Hide dense features", run: () => setWords({ dense: filters.dense ? "0" : undefined }) },
    { keys: ["x"], label: "Add to Steer", run: () => chosen && addToSteer(chosen.index) },
    { keys: ["Escape"], label: "Leave the text", inFields: true, run: () => field.current?.blur() },
  ]);

  const lanes = ranking.shown.slice(0, 12);
  const length = data?.tokens.length ?? 0;
  return (
    <Page
      crumbs={[{ text: extraction, to: `/features/${encodeURIComponent(extraction)}` }]}
      title="Fire"
      className="fire"
      actions={
        <IconButton
          icon="link"
          label={text.length > LONGEST_LINK ? "Copy link (without the text: it is too long for one)" : "Copy link"}
          keys="y"
          onClick={() => void copy(location.href, text.length > LONGEST_LINK ? "Link copied, without the text" : "Link copied")}
        />
      }
    >
      <div className="left">
        <form className="inp" onSubmit={(event) => { event.preventDefault(); run(); }}>
          <textarea ref={field} className="field mono" aria-label="Text" value={typed} spellCheck={false} rows={4} placeholder="Paste or type a text; every token is passed through the SAE." onChange={(event) => setTyped(event.target.value)} autoFocus={!text} />
          <div className="row wrap">
            <Button look="primary" type="submit" keys="Ctrl ↵" disabled={!typed.trim()}>Fire</Button>
            <span className="sm dim" aria-live="polite">
              {answer.isFetching && cold ? "loading the model; the first time takes some seconds" : data ? `${plural(length, "token")}, ${plural(data.active, "feature")} active, ${int(data.milliseconds)} ms` : ""}
            </span>
            <span className="grow" />
            {chosen && data && (
              <span className="row sm dim">
                coloured by <b className="acc mono">{chosen.index}</b> 0 <Ramp /> {fixed(chosen.max, 1)}
              </span>
            )}
          </div>
          {data?.truncated_to != null && <p className="note warn">The text is longer than can be read at once: the first {int(data.truncated_to)} tokens are shown.</p>}
        </form>
        <Loading busy={answer.isFetching} label="Firing" />
        {answer.isError ? (
          <Failure error={answer.error} retry={() => void answer.refetch()} />
        ) : !data ? (
          !answer.isFetching && (
            <Empty title="Which features does a text fire?">
              <p>Paste a text above. Each token is coloured by the chosen feature; choose a token, and the features active there are ranked beside it.</p>
            </Empty>
          )
        ) : (
          <>
            <div className="bar2">
              <Checkbox checked={filters.dense} onChange={(event) => setWords({ dense: event.target.checked ? undefined : "0" })}>hide dense, over {100 * DENSE} %</Checkbox>
              <Checkbox checked={bos} onChange={(event) => setWords({ bos: event.target.checked ? undefined : "1" })}>leave out BOS</Checkbox>
              <Checkbox checked={filters.labelled} onChange={(event) => setWords({ labelled: event.target.checked ? "1" : undefined })}>labelled only</Checkbox>
              <span className="grow" />
              <span className="dim">rank by</span>
              <Segment label="Rank by" value={by} onChange={(next) => setWords({ by: next === "activation" ? undefined : next })} options={[{ value: "activation", text: "activation" }, { value: "share", text: "share of max" }, { value: "rarity", text: "rarity" }]} />
            </div>
            <TokenTips max={chosen?.max} className={answer.isPlaceholderData ? "text stale" : "text"}>
              <div
                className="toks wrapped"
                role="listbox"
                aria-label="Tokens of the text"
                tabIndex={0}
                aria-activedescendant={`tok-${position}`}
                onClick={(event) => {
                  const token = event.target instanceof Element ? event.target.closest<HTMLElement>(".tok") : null;
                  if (token?.dataset.p) setWords({ p: token.dataset.p, f: undefined });
                }}
              >
                {data.tokens.map((token, at) => (
                  <span
                    key={at}
                    id={`tok-${at}`}
                    role="option"
                    aria-selected={at === position}
                    className={`tok${at === position ? " pick" : ""}${data.special[at] ? " special" : ""}`}
                    data-a={(chosen && level(values[at] ?? 0, chosen.max)) || undefined}
                    data-v={values[at] ?? 0}
                    data-p={at}
                    data-t={token}
                  >
                    {tokenText(token)}
                  </span>
                ))}
              </div>
            </TokenTips>
            {lanes.length > 0 && (
              <div className="heat">
                <h2>Across the text <span className="dim">the strongest features at the chosen token, token by token</span></h2>
                {lanes.map(({ feature, value }) => (
                  <button key={feature.index} type="button" className="lane" aria-pressed={feature === chosen} onClick={() => setWords({ f: String(feature.index), p: String(position) })}>
                    <span className="num dim">{feature.index}</span>
                    <Label text={feature.label} source={feature.label_source} />
                    <svg viewBox={`0 0 ${length * 6} 18`} preserveAspectRatio="none" role="img" aria-label={`active on ${plural(feature.positions.length, "token")}`}>
                      <rect x={0} y={16.5} width={length * 6} height={1} fill="var(--line)" />
                      {feature.positions.map((at, k) => {
                        const tall = Math.min(16, Math.max(2, ((feature.values[k] ?? 0) / (feature.max || 1)) * 16));
                        return <rect key={at} x={at * 6 + 0.5} y={17 - tall} width={5} height={tall} fill={at === position ? "var(--accent)" : "var(--pos)"} />;
                      })}
                    </svg>
                    <span className="num">{fixed(value, 1)}</span>
                  </button>
                ))}
              </div>
            )}
          </>
        )}
      </div>
      {data && !answer.isError && (
        <aside className="right" aria-label="Features at the token">
          <header>
            <div className="row">
              <span className="sm dim">At token {position}</span>
              <TokenChip text={data.tokens[position] ?? ""} />
              <span className="grow" />
              <IconButton icon="left" label="Previous token" keys="←" small onClick={() => toToken(-1)} disabled={position === 0} />
              <IconButton icon="right" label="Next token" keys="→" small onClick={() => toToken(1)} disabled={position >= length - 1} />
            </div>
            <p className="xs dim">
              {data.special[position] && bos
                ? "a special token: it takes no part"
                : `${int(Math.min(SHOWN, ranking.shown.length))} of ${plural(ranking.active, "active feature")} shown${ranking.hiddenDense ? `; ${ranking.hiddenDense} dense hidden` : ""}${ranking.hiddenUnlabelled ? `; ${ranking.hiddenUnlabelled} without label hidden` : ""}`}
            </p>
          </header>
          <ol className="rank" aria-label="Ranking" ref={ranks} tabIndex={0}>
            {ranking.shown.slice(0, SHOWN).map(({ feature, value }) => (
              <li key={feature.index} aria-current={feature === chosen || undefined} onClick={() => setWords({ f: String(feature.index), p: String(position) })}>
                <Link className="num" to="/features/$extraction/$index" params={{ extraction, index: String(feature.index) }} onClick={(event) => event.stopPropagation()}>{feature.index}</Link>
                <div className="what">
                  <Label text={feature.label} source={feature.label_source} className="sm" />
                  <div className="pk">{feature.peaks_on.slice(0, 3).map((token, at) => <TokenChip key={at} text={token} />)}</div>
                </div>
                <div>
                  <div className="meter"><i style={{ width: `${Math.min(100, (value / (feature.max || 1)) * 100)}%` }} /></div>
                  <div className="xs dim">{Math.round((value / (feature.max || 1)) * 100)} % of max</div>
                </div>
                <span className="num">{fixed(value, 1)}</span>
              </li>
            ))}
            {!ranking.shown.length && !(data.special[position] && bos) && (
              <li className="none">
                <p className="dim sm">
                  {ranking.active ? "Every feature active here is hidden by the filters." : "No feature is active at this token."}
                  {ranking.active > 0 && <> <button type="button" className="acc" onClick={() => setWords({ dense: "0", labelled: undefined })}>Show all {ranking.active}</button></>}
                </p>
              </li>
            )}
          </ol>
          <footer className="foot">
            <span><Kbd>←</Kbd> <Kbd>→</Kbd> token</span>
            <span><Kbd>↑</Kbd> <Kbd>↓</Kbd> feature</span>
            <span><Kbd>Enter</Kbd> open</span>
            <span><Kbd>x</Kbd> steer</span>
          </footer>
        </aside>
      )}
    </Page>
  );
}
