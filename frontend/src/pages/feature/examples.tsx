import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Example, FeatureDetail } from "../../api/feature";
import { fixed, int, percent } from "../../lib/format";
import { ConcordanceRow, TokenTip, tokenText, TokenTips } from "../../parts/tokens";

export type Width = "5" | "16" | "full";

interface Props {
  data: FeatureDetail;
  examples: readonly Example[];
  width: Width;
  breaks: boolean;
  /** Colour each row by its own largest activation, not by the feature's. */
  byRow: boolean;
  at: number;
  /** Token of the chosen row that the keys point at, counted in its window. */
  token: number | null;
  open: ReadonlySet<number>;
  onToggle: (sample: number) => void;
  onAt: (at: number) => void;
}

/** Samples the feature is active on, peaks under each other; a click opens one as a whole. */
export function Examples({ data, examples, width, breaks, byRow, at, token, open, onToggle, onAt }: Props) {
  const list = useRef<HTMLOListElement>(null);
  const [spot, setSpot] = useState<{ box: DOMRect; text: string; activation: number; position: number } | null>(null);

  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at, examples]);

  useLayoutEffect(() => {
    const example = examples[at];
    const row = list.current?.children[at];
    if (token === null || !example || !row) {
      setSpot(null);
      return;
    }
    const position = example.start + token;
    const element = row.querySelector<HTMLElement>(`[data-p="${position}"]`);
    if (!element) {
      setSpot(null);
      return;
    }
    element.classList.add("hov");
    setSpot({ box: element.getBoundingClientRect(), text: element.dataset.t ?? "", activation: Number(element.dataset.v ?? 0), position });
    return () => element.classList.remove("hov");
  }, [token, at, examples, width, open]);

  return (
    <TokenTips max={data.max} className="exs" extra={(_, element) => titleOf(examples, element)}>
      <ol ref={list} aria-label="Examples">
        {examples.map((example, k) => {
          const whole = width === "full" || open.has(example.sample);
          return (
            <li
              key={`${example.stratum}:${example.sample}:${example.peak}`}
              className="ex"
              data-at={k}
              aria-current={k === at || undefined}
              onClick={() => {
                if (getSelection()?.toString()) return;
                onAt(k);
                onToggle(example.sample);
              }}
              onCopy={(event) => {
                event.clipboardData.setData("text/plain", selectedText());
                event.preventDefault();
              }}
            >
              <span className="num">{example.activation > 0 ? fixed(example.activation, 1) : "0"}</span>
              <ConcordanceRow
                tokens={example.tokens}
                activations={example.activations}
                max={byRow ? Math.max(...example.activations, 1e-9) : data.max}
                peak={example.peak - example.start}
                start={example.start}
                breaks={breaks}
                width={whole ? "full" : width === "5" ? 5 : 16}
              />
              <span className="src cut" title={`sample ${example.sample}, position ${example.peak}`}>{example.document ?? `sample ${int(example.sample)}`}</span>
            </li>
          );
        })}
      </ol>
      {spot && <TokenTip box={spot.box} rows={[["token", <span className="mono" key="t">{tokenText(spot.text)}</span>], ["activation", fixed(spot.activation, 2)], ["of max", percent(spot.activation / data.max, 0)], ["position", int(spot.position)]]} />}
    </TokenTips>
  );
}

function titleOf(examples: readonly Example[], element: HTMLElement): [string, string][] {
  const example = examples[Number(element.closest<HTMLElement>("[data-at]")?.dataset.at)];
  return example ? [["sample", int(example.sample)]] : [];
}

/** What was selected, as the original text: the signs for spaces and breaks turned back. */
function selectedText(): string {
  const selection = getSelection();
  if (!selection?.rangeCount) return "";
  const holder = document.createElement("div");
  holder.append(selection.getRangeAt(0).cloneContents());
  const tokens = [...holder.querySelectorAll<HTMLElement>(".tok")];
  return tokens.length ? tokens.map((token) => token.dataset.t ?? "").join("") : selection.toString();
}
