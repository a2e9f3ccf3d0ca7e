import { useCallback, useEffect, useRef, useState } from "react";
import { steer, type SteerRequest, type SteerToken } from "../../api/steer";

export interface Text {
  tokens: SteerToken[];
  perplexity: number | null;
}

export interface Run {
  request: SteerRequest;
  original: Text;
  steered: Text;
  state: "running" | "done" | "stopped" | "failed";
  error?: unknown;
}

const EMPTY: Text = { tokens: [], perplexity: null };

/** A request and its two texts while they arrive. Tokens are shown at most once per frame. */
export function useSteering(): { run: Run | null; start: (request: SteerRequest) => void; stop: () => void } {
  const [run, setRun] = useState<Run | null>(null);
  const abort = useRef<AbortController | null>(null);

  const start = useCallback((request: SteerRequest) => {
    abort.current?.abort();
    const mine = new AbortController();
    abort.current = mine;
    let waiting: SteerToken[] = [];
    let frame = 0;
    const only = (change: (old: Run) => Run) => setRun((old) => (old && abort.current === mine ? change(old) : old));
    const flush = () => {
      frame = 0;
      const tokens = waiting;
      waiting = [];
      if (!tokens.length) return;
      only((old) => {
        const add = (which: "original" | "steered"): Text => {
          const fresh = tokens.filter((token) => token.run === which);
          return fresh.length ? { ...old[which], tokens: [...old[which].tokens, ...fresh] } : old[which];
        };
        return { ...old, original: add("original"), steered: add("steered") };
      });
    };
    setRun({ request, original: EMPTY, steered: EMPTY, state: "running" });
    void (async () => {
      try {
        for await (const event of steer(request, mine.signal)) {
          if (event.kind === "token") {
            waiting.push(event);
            frame ||= requestAnimationFrame(flush);
          } else if (event.kind === "error") {
            flush();
            only((old) => ({ ...old, state: "failed", error: new Error(event.hint ? `${event.message}; ${event.hint}` : event.message) }));
          } else {
            flush();
            only((old) => ({
              ...old,
              state: "done",
              original: { ...old.original, perplexity: event.original?.perplexity ?? perplexity(old.original) },
              steered: { ...old.steered, perplexity: event.steered?.perplexity ?? perplexity(old.steered) },
            }));
          }
        }
        flush();
        only((old) => (old.state === "running" ? { ...old, state: "failed", error: new Error("the connection ended early") } : old));
      } catch (error) {
        flush();
        only((old) => (old.state === "stopped" || mine.signal.aborted ? { ...old, state: "stopped" } : { ...old, state: "failed", error }));
      }
    })();
  }, []);

  const stop = useCallback(() => {
    setRun((old) => (old?.state === "running" ? { ...old, state: "stopped" } : old));
    abort.current?.abort();
  }, []);
  useEffect(() => () => abort.current?.abort(), []);
  return { run, start, stop };
}

/** exp of the mean surprise of the tokens, where their log probabilities are known. */
export function perplexity(text: Text): number | null {
  const known = text.tokens.map((token) => token.logp).filter((value): value is number => typeof value === "number");
  return known.length ? Math.exp(-known.reduce((sum, value) => sum + value, 0) / known.length) : null;
}

/** Steps of surprise under the model without edits: log p below −2.2, −3.5, −5, −7, −9. */
export function surprise(logp: number | null | undefined): number {
  if (logp == null) return 0;
  return [-2.2, -3.5, -5, -7, -9].filter((edge) => logp < edge).length;
}
