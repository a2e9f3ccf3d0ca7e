import { Fragment, memo, useEffect, useRef, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";
import { fixed, int, percent } from "../lib/format";

// Odd spaces, control characters, directional marks: shown by their number, so that no text can hide or turn another.
const ODD = /[\u0000-\u001f\u007f-\u00a0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb]/;

/** A token's text as nodes: a space is a faint dot, a newline a faint return sign; bytes that are no character say so. */
export function tokenText(text: string, breaks = false): ReactNode[] {
  const out: ReactNode[] = [];
  let plain = "";
  let key = 0;
  const flush = () => {
    if (plain) out.push(plain);
    plain = "";
  };
  for (const char of text) {
    if (char === " ") {
      flush();
      out.push(<wbr key={key++} />, <i key={key++} className="sp">·</i>);
    } else if (char === "\n") {
      flush();
      out.push(<i key={key++} className="nl">↵</i>);
      if (breaks) out.push(<br key={key++} />);
    } else if (char === "\t") {
      flush();
      out.push(<i key={key++} className="nl">⇥</i>);
    } else if (char === "\ufffd") {
      flush();
      out.push(<i key={key++} className="nl" title="part of a character">‹byte›</i>);
    } else if (ODD.test(char)) {
      flush();
      out.push(<i key={key++} className="nl">‹{char.codePointAt(0)?.toString(16)}›</i>);
    } else plain += char;
  }
  flush();
  if (!out.length) out.push(<i key={key} className="nl">‹empty›</i>);
  return out;
}

/** Step of the activation scale: 1 to 8, at least 1 for anything above 0; 0 for none. */
export const level = (activation: number, max: number) =>
  activation > 0 && max > 0 ? Math.min(8, Math.max(1, Math.ceil((8 * activation) / max))) : 0;

/** A boxed token, in cells and lists. */
export const TokenChip = memo(function TokenChip({ text, onClick }: { text: string; onClick?: () => void }) {
  const body = <bdi>{tokenText(text)}</bdi>;
  return onClick ? <button type="button" className="t1" onClick={onClick}>{body}</button> : <span className="t1">{body}</span>;
});

export interface Run {
  tokens: readonly string[];
  activations?: readonly number[] | undefined;
  /** The feature's largest activation: the scale's upper end. */
  max: number;
  /** Index into `tokens` of the peak, drawn bold and underlined. */
  peak?: number | undefined;
  /** Position in the sample of the first token. */
  start?: number | undefined;
  breaks?: boolean;
}

/** Tokens in a row, coloured by activation. One tab stop; the tooltip follows the pointer, or the `hot` token. */
export const Tokens = memo(function Tokens({ tokens, activations, max, peak = -1, start = 0, breaks = false }: Run) {
  return (
    <>
      {tokens.map((text, at) => {
        const activation = activations?.[at];
        const step = activation === undefined ? 0 : level(activation, max);
        return (
          <span
            key={at}
            className={at === peak ? "tok peak" : "tok"}
            data-a={step || undefined}
            data-v={activation}
            data-p={start + at}
            data-t={text}
          >
            {tokenText(text, breaks)}
          </span>
        );
      })}
    </>
  );
});

interface Concordance extends Run {
  /** Tokens shown at each side of the peak; all of them, wrapped, when it is "full". */
  width: 5 | 16 | "full";
}

/** One example: the peak stands on the same vertical line in every row, contexts fade at both ends. */
export const ConcordanceRow = memo(function ConcordanceRow({ tokens, activations, max, peak = 0, start = 0, breaks = false, width }: Concordance) {
  if (width === "full") {
    return (
      <div className="toks wrapped">
        <Tokens tokens={tokens} activations={activations} max={max} peak={peak} start={start} breaks={breaks} />
      </div>
    );
  }
  const from = Math.max(0, peak - width);
  const to = Math.min(tokens.length, peak + width + 1);
  const part = (a: number, z: number, at: number) => (
    <Tokens tokens={tokens.slice(a, z)} activations={activations?.slice(a, z)} max={max} peak={at} start={start + a} />
  );
  return (
    <div className="toks kwic">
      <span className="l"><span>{part(from, peak, -1)}</span></span>
      <span>{part(peak, peak + 1, 0)}</span>
      <span className="r">{part(peak + 1, to, -1)}</span>
    </div>
  );
});

interface Hot {
  rows: [string, ReactNode][];
  box: DOMRect;
}

/** What is said of a token under the pointer. Put once around any number of runs. */
export function TokenTips({ max, children, className, extra }: { max?: number | undefined; children: ReactNode; className?: string; extra?: (position: number, element: HTMLElement) => [string, ReactNode][] }) {
  const [hot, setHot] = useState<Hot | null>(null);
  const show = (target: EventTarget | null) => {
    const element = target instanceof Element ? target.closest<HTMLElement>(".tok") : null;
    if (!element) {
      setHot(null);
      return;
    }
    const { t = "", v, p } = element.dataset;
    const rows: [string, ReactNode][] = [["token", <span className="mono" key="t">{tokenText(t)}</span>]];
    if (v !== undefined) {
      rows.push(["activation", fixed(Number(v), 2)]);
      if (max) rows.push(["of max", percent(Number(v) / max, 0)]);
    }
    if (p !== undefined) rows.push(["position", int(Number(p))]);
    if (extra) rows.push(...extra(Number(p), element));
    setHot({ rows, box: element.getBoundingClientRect() });
  };
  return (
    <div
      className={className}
      onPointerOver={(event) => show(event.target)}
      onPointerLeave={() => setHot(null)}
      onScrollCapture={() => setHot(null)}
      onFocus={(event) => show(event.target)}
      onBlur={() => setHot(null)}
    >
      {children}
      {hot && <TokenTip {...hot} />}
    </div>
  );
}

/** The tooltip itself: above the line it speaks of, or below it; never over it. */
export function TokenTip({ rows, box }: Hot) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const tip = ref.current;
    if (!tip) return;
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.min(innerWidth - width - 8, Math.max(8, box.left + box.width / 2 - width / 2))}px`;
    tip.style.top = `${box.top > height + 12 ? box.top - height - 6 : box.bottom + 6}px`;
    tip.style.visibility = "visible";
  }, [box, rows]);
  return createPortal(
    <div ref={ref} className="tip" role="tooltip">
      <dl>{rows.map(([name, value], at) => <Fragment key={at}><dt>{name}</dt><dd>{value}</dd></Fragment>)}</dl>
    </div>,
    document.body,
  );
}

/** The activation scale, drawn. */
export const Ramp = ({ kind = "act", steps = 8 }: { kind?: "act" | "cool" | "score"; steps?: number }) => (
  <span className="ramp" aria-hidden="true">
    {Array.from({ length: steps }, (_, at) => <i key={at} style={{ background: `var(--${kind}-${kind === "score" ? at : at + 1})` }} />)}
  </span>
);
