import type { ReactNode } from "react";
import { figures, fixed } from "../../lib/format";
import { Button } from "../../parts/controls";
import { level, tokenText, TokenTips } from "../../parts/tokens";
import { surprise, type Text } from "./stream";

export type Shade = "surprise" | "feature" | "none";

interface Props {
  title: string;
  what?: ReactNode;
  text: Text;
  shade: Shade;
  /** Features edited, and the largest activation of each. */
  features: readonly { index: number; max: number | undefined }[];
  state: "running" | "done" | "stopped" | "failed" | null;
  onUnpin?: () => void;
}

const strongest = (activations: Record<string, number> | undefined, features: Props["features"]): [number, number] => {
  let best: [number, number] = [0, 0];
  for (const { index, max } of features) {
    const value = activations?.[index] ?? 0;
    if (max && value / max > best[1]) best = [value, value / max];
  }
  return best;
};

/** A text as it arrives: shaded by surprise or by the edited features; bars below. */
export function TextColumn({ title, what, text, shade, features, state, onUnpin }: Props) {
  const { tokens } = text;
  const known = tokens.some((token) => token.logp != null);
  return (
    <section className="col" aria-label={title} aria-busy={state === "running"}>
      <header>
        <b>{title}</b>
        {what && <span className="acc cut">{what}</span>}
        {text.perplexity != null && <span>perplexity <span className="mono soft">{figures(text.perplexity)}</span></span>}
        {state === "stopped" && <span className="warn">stopped at {tokens.length} tokens</span>}
        {onUnpin && <Button look="ghost" className="tight" onClick={onUnpin}>Unpin</Button>}
      </header>
      <TokenTips
        extra={(position) => {
          const token = tokens[position];
          if (!token) return [];
          const rows: [string, ReactNode][] = [];
          if (token.logp != null) rows.push(["log p, unsteered", fixed(token.logp, 2)]);
          for (const { index } of features) if (token.activations?.[index] !== undefined) rows.push([`feature ${index}`, fixed(token.activations[index], 2)]);
          return rows;
        }}
      >
        <div className="toks wrapped" aria-live="off">
          {tokens.map((token, at) => {
            const [value, share] = strongest(token.activations, features);
            return (
              <span
                key={at}
                className={share > 0.08 ? "tok act" : "tok"}
                data-n={(shade === "surprise" && surprise(token.logp)) || undefined}
                data-a={(shade === "feature" && level(share, 1)) || undefined}
                data-p={at}
                data-t={token.token}
                data-act={value || undefined}
              >
                {tokenText(token.token, true)}
              </span>
            );
          })}
          {state === "running" && <span className="caret" aria-hidden="true" />}
          {!tokens.length && state === "done" && <span className="dim">nothing: the model ended the text at once</span>}
        </div>
      </TokenTips>
      {known && tokens.length > 0 && (
        <svg className="trace" viewBox={`0 0 ${Math.max(24, tokens.length) * 10} 28`} preserveAspectRatio="none" role="img" aria-label="surprise per token">
          {tokens.map((token, at) => {
            const tall = Math.min(27, -(token.logp ?? 0) * 2.4);
            return <rect key={at} x={at * 10 + 1} y={28 - tall} width={8} height={tall} fill="var(--neg)" opacity={0.75} />;
          })}
        </svg>
      )}
    </section>
  );
}
