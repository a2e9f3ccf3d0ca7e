import { useEffect, useState, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { Button } from "./controls";
import { Icon } from "./icons";
import { copy } from "./toast";

/** Nothing here yet: what this place is for, and the one next step. */
export function Empty({ title, children, actions }: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="state">
      <h2>{title}</h2>
      {children && <div className="state-text">{children}</div>}
      {actions && <div className="row wrap">{actions}</div>}
    </div>
  );
}

/** What happened, what is safe, what to do; the details can be copied. */
export function Failure({ error, title, safe, retry, actions }: { error: unknown; title?: string; safe?: string; retry?: () => void; actions?: ReactNode }) {
  const known = error instanceof ApiError ? error : null;
  const message = known?.message ?? (error instanceof Error ? error.message : String(error));
  const heading = title ?? sentence(message);
  const details = [known ? `${known.kind} (${known.status})` : "", message, known?.hint ?? ""].filter(Boolean).join("\n");
  return (
    <div className="state" role="alert">
      <h2 className="row">
        <span className="bad"><Icon name="warn" /></span>
        <span className="state-title">{heading}</span>
      </h2>
      {(known?.hint || safe) && <div className="state-text">{known?.hint && <p>{sentence(known.hint)}.</p>}{safe && <p>{safe}</p>}</div>}
      {title && <pre>{details}</pre>}
      <div className="row wrap">
        {actions}
        {retry && <Button look={actions ? "plain" : "primary"} onClick={retry}>Try again</Button>}
        <Button look="ghost" icon="copy" onClick={() => copy(details, "Details copied")}>Copy details</Button>
      </div>
    </div>
  );
}

const sentence = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** True once `busy` has lasted 200 ms: quick answers show no sign of loading. */
export function useSlow(busy: boolean, after = 200): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!busy) {
      setSlow(false);
      return;
    }
    const timer = setTimeout(() => setSlow(true), after);
    return () => clearTimeout(timer);
  }, [busy, after]);
  return slow;
}

/** A line of 2 px at the top of what is being read, after 200 ms. */
export function Loading({ busy, label = "Loading" }: { busy: boolean; label?: string }) {
  const slow = useSlow(busy);
  return <div className="loadline" role={slow ? "progressbar" : undefined} aria-label={slow ? label : undefined} data-on={slow || undefined}><i /></div>;
}

/** Grey rows where a list will be, when there was nothing to show before. */
export function Skeleton({ rows = 12, columns = "20px 44px 1fr 150px 60px 44px" }: { rows?: number; columns?: string }) {
  const slow = useSlow(true);
  if (!slow) return null;
  const widths = [12, 44, 62, 78, 100, 100];
  return (
    <div aria-hidden="true">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="skr" style={{ gridTemplateColumns: columns }}>
          {columns.split(" ").map((_, at) => <div key={at} className="sk" style={{ width: `${Math.max(20, (widths[at % 6] ?? 60) - ((row * 17 + at * 29) % 40))}%` }} />)}
        </div>
      ))}
    </div>
  );
}
