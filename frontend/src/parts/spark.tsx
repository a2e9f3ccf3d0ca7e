import { memo } from "react";

/** A small histogram: log counts, no axes. */
export const Spark = memo(function Spark({ counts, width = 84, height = 18 }: { counts: readonly number[]; width?: number; height?: number }) {
  const values = counts.map((count) => Math.log10(1 + count));
  const top = Math.max(...values, 1e-9);
  const step = width / Math.max(1, values.length);
  let path = "";
  values.forEach((value, at) => {
    if (value <= 0) return;
    const tall = Math.max(1.5, (value / top) * height);
    path += `M${(at * step).toFixed(1)} ${height}v${(-tall).toFixed(1)}h${Math.max(1, step - 1).toFixed(1)}v${tall.toFixed(1)}z`;
  });
  return <svg width={width} height={height} aria-hidden="true"><path d={path} fill="var(--fg-3)" /></svg>;
});
