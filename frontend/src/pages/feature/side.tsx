import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState, type ReactNode, type Ref } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { writeNote } from "../../api/actions";
import type { FeatureDetail, Written } from "../../api/feature";
import { density, fixed, int, moment } from "../../lib/format";
import { Histogram } from "../../parts/histogram";
import { Label } from "../../parts/label";
import { tokenText } from "../../parts/tokens";

interface Props {
  extraction: string;
  data: FeatureDetail;
  /** Largest activation on the reader's own text. */
  tried: number | null;
  note: Ref<HTMLTextAreaElement>;
}

const Section = ({ title, unit, children }: { title: string; unit?: string; children: ReactNode }) => (
  <section>
    <h3>{title}{unit && <span>{unit}</span>}</h3>
    {children}
  </section>
);

export function Side({ extraction, data, tried, note }: Props) {
  return (
    <aside className="side" aria-label="Statistics">
      <section>
        <dl className="facts">
          <div><dt>density</dt><dd>{density(data.density)}</dd></div>
          <div><dt>tokens</dt><dd>{int(data.active_tokens)}</dd></div>
          <div><dt>samples</dt><dd>{int(data.active_samples)}</dd></div>
          <div><dt>max</dt><dd>{fixed(data.dead ? null : data.max, 1)}</dd></div>
          <div><dt>mean</dt><dd>{fixed(data.dead ? null : data.mean, 1)}</dd></div>
        </dl>
      </section>
      {!data.dead && (
        <Section title="Activations" unit="tokens, log count">
          <Histogram edges={data.histogram.edges} counts={data.histogram.counts} max={data.max} unit="tokens" mark={tried ? { value: tried, name: "your text" } : null} />
        </Section>
      )}
      <Section title="Tokens it writes" unit="logit">
        <div className="writes">
          <Writes title="most" rows={data.writes_most} tone="act-4" extraction={extraction} />
          <Writes title="least" rows={data.writes_least} tone="cool-3" extraction={extraction} />
        </div>
      </Section>
      <Section title="Nearest features" unit="decoder cosine">
        {data.neighbors.map((near) => (
          <Link key={near.index} className="nb" to="/features/$extraction/$index" params={{ extraction, index: String(near.index) }} search={true as never}>
            <span className="num dim">{near.index}</span>
            <Label text={near.label} />
            <span className="num">{fixed(near.cosine)}</span>
          </Link>
        ))}
        {!data.neighbors.length && <p className="xs dim">None known.</p>}
      </Section>
      <Note key={data.index} extraction={extraction} index={data.index} kept={data.note} field={note} />
    </aside>
  );
}

function Writes({ title, rows, tone, extraction }: { title: string; rows: readonly Written[]; tone: string; extraction: string }) {
  const most = Math.max(1e-9, ...rows.map((row) => Math.abs(row.logit)));
  return (
    <div>
      <h4>{title}</h4>
      {rows.slice(0, 10).map((row) => (
        <Link key={row.id} className="wr" to="/features/$extraction" params={{ extraction }} search={{ q: row.token.trim() || row.token } as never} title={`Search features for “${row.token}”`}>
          <i className="b" style={{ width: `calc(${(Math.abs(row.logit) / most).toFixed(3)} * (100% - 44px))`, background: `var(--${tone})` }} />
          <bdi className="mono">{tokenText(row.token)}</bdi>
          <span className="num">{fixed(row.logit)}</span>
        </Link>
      ))}
    </div>
  );
}

/** Your note: kept while you type. */
function Note({ extraction, index, kept, field }: { extraction: string; index: number; kept: FeatureDetail["note"]; field: Ref<HTMLTextAreaElement> }) {
  const client = useQueryClient();
  const [text, setText] = useState(kept?.text ?? "");
  const [state, setState] = useState<{ saved?: string; failed?: string; busy?: boolean }>(kept ? { saved: kept.saved } : {});
  const last = useRef(kept?.text ?? "");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const save = async (words: string) => {
    clearTimeout(timer.current);
    if (words === last.current) return;
    const before = last.current;
    last.current = words;
    setState({ busy: true });
    try {
      setState({ saved: await writeNote(client, extraction, index, words) });
    } catch (error) {
      last.current = before;
      setState({ failed: error instanceof Error ? error.message : String(error) });
    }
  };
  const latest = useRef(text);
  latest.current = text;
  useEffect(() => () => void save(latest.current), []);
  return (
    <section>
      <h3>
        <label htmlFor="note">Note</label>
        <span aria-live="polite">{state.failed ? <b className="bad">△ not saved: {state.failed}</b> : state.busy ? "saving…" : state.saved ? `saved ${moment(state.saved)}` : ""}</span>
      </h3>
      <textarea
        id="note"
        ref={field}
        className="field note-field"
        value={text}
        rows={2}
        maxLength={20_000}
        placeholder="What you think of it"
        onChange={(event) => {
          setText(event.target.value);
          clearTimeout(timer.current);
          const words = event.target.value;
          timer.current = setTimeout(() => void save(words), 800);
        }}
        onBlur={() => void save(text)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
    </section>
  );
}
