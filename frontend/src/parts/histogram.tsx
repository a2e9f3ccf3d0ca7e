import { useState, type KeyboardEvent } from "react";
import { figures, int } from "../lib/format";

interface Props {
  edges: readonly number[];
  counts: readonly number[];
  max: number;
  /** A value to mark, and what it is. */
  mark?: { value: number; name: string } | null;
  /** What is counted. */
  unit: string;
  width?: number;
  height?: number;
}

const LEFT = 30;

/** Counts per bin, both axes logarithmic; bars deepen with the activation. One tab stop: arrows read it out, Shift T shows it as a table. */
export function Histogram({ edges, counts, max, mark, unit, width = 312, height = 96 }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const [table, setTable] = useState(false);
  const n = counts.length;
  if (!n) return <p className="xs dim">No activation was counted.</p>;
  const top = Math.log10(1 + Math.max(...counts));
  const tall = (count: number) => (Math.log10(1 + count) / top) * (height - 6);
  const step = (width - LEFT) / n;
  const place = (value: number) => {
    let bin = 0;
    while (bin < n - 1 && value >= edges[bin + 1]!) bin++;
    const [low, high] = [edges[bin]!, edges[bin + 1]!];
    const share = low > 0 ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return LEFT + (bin + Math.min(1, Math.max(0, share))) * step;
  };
  const every = Math.max(1, Math.ceil(n / 6));
  const keys = (event: KeyboardEvent) => {
    if (event.key === "T" && event.shiftKey) setTable(!table);
    else if (event.key === "ArrowRight") setAt(at === null ? 0 : Math.min(n - 1, at + 1));
    else if (event.key === "ArrowLeft") setAt(at === null ? n - 1 : Math.max(0, at - 1));
    else if (event.key === "Escape" && (table || at !== null)) {
      setAt(null);
      setTable(false);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const bin = (k: number) => `${figures(edges[k])} to ${figures(edges[k + 1])}`;
  return (
    <div className="histogram" tabIndex={0} role="group" aria-label={`Histogram of activations, ${n} bins. Arrows read the bins, Shift T shows a table.`} onKeyDown={keys} onBlur={() => setAt(null)}>
      {table ? (
        <table className="numbers">
          <thead><tr><th>activation</th><th>{unit}</th></tr></thead>
          <tbody>{counts.map((count, k) => <tr key={k}><td>{bin(k)}</td><td>{int(count)}</td></tr>)}</tbody>
        </table>
      ) : (
        <svg width="100%" viewBox={`0 0 ${width} ${height + 20}`} aria-hidden="true" onPointerLeave={() => setAt(null)}>
          {[1, 10, 100, 1000, 1e4, 1e5, 1e6].filter((value) => Math.log10(1 + value) < top).map((value) => (
            <g key={value}>
              <line x1={LEFT} x2={width} y1={height - tall(value)} y2={height - tall(value)} stroke="var(--line)" />
              <text x={LEFT - 6} y={height - tall(value) + 4} textAnchor="end">{value >= 1e6 ? `${value / 1e6}M` : value >= 1000 ? `${value / 1000}k` : value}</text>
            </g>
          ))}
          {counts.map((count, k) => {
            const middle = (edges[k]! + edges[k + 1]!) / 2;
            const share = Math.min(1, middle / max);
            return (
              <g key={k} onPointerEnter={() => setAt(k)}>
                <rect x={LEFT + k * step} y={0} width={step} height={height} fill="transparent" />
                {count > 0 && <rect x={LEFT + k * step + 0.5} y={height - Math.max(1.5, tall(count))} width={Math.max(1, step - 1)} height={Math.max(1.5, tall(count))} fill="var(--pos)" opacity={k === at ? 1 : 0.35 + 0.6 * share} />}
              </g>
            );
          })}
          {edges.map((edge, k) => (k % every === 0 && k < n ? <text key={k} x={LEFT + k * step} y={height + 15} textAnchor={k ? "middle" : "start"}>{figures(edge)}</text> : null))}
          {mark && mark.value > 0 && (
            <>
              <path d={`M${place(mark.value)} 4V${height}`} stroke="var(--accent)" strokeWidth={1.5} strokeDasharray="3 2" />
              <text className="mark" x={place(mark.value) + (place(mark.value) < width / 2 ? 4 : -4)} y={11} textAnchor={place(mark.value) < width / 2 ? "start" : "end"}>{mark.name}</text>
            </>
          )}
        </svg>
      )}
      <p className="xs dim readout" aria-live="polite">{at === null || table ? " " : `${bin(at)}: ${int(counts[at])} ${unit}`}</p>
    </div>
  );
}
