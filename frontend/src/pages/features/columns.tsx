import type { ReactNode } from "react";
import type { FeatureRow } from "../../api/features";
import { density, fixed, int } from "../../lib/format";
import { Label } from "../../parts/label";
import { Spark } from "../../parts/spark";
import { TokenChip } from "../../parts/tokens";

export interface Column {
  id: string;
  title: string;
  /** Pixels; 0 takes what is left. */
  width: number;
  right?: boolean;
  /** The field that the list can be sorted by. */
  sort?: string;
  /** Sorted upwards first: names and indices. */
  up?: boolean;
  /** Goes below this window width. */
  hideBelow?: number;
  cell: (row: FeatureRow) => ReactNode;
}

/** Every column, in the order that is shown at first. */
export const COLUMNS: readonly Column[] = [
  { id: "index", title: "Feature", width: 72, right: true, sort: "index", up: true, cell: (row) => row.index },
  { id: "label", title: "Label", width: 0, sort: "label", up: true, cell: (row) => <Label text={row.label} source={row.label_source} /> },
  { id: "peaks", title: "Peaks on", width: 216, hideBelow: 900, cell: (row) => <Chips tokens={row.peaks_on} /> },
  { id: "writes", title: "Writes", width: 152, hideBelow: 1100, cell: (row) => <Chips tokens={row.writes} /> },
  { id: "density", title: "Density", width: 120, right: true, sort: "density", cell: (row) => <Density value={row.density} /> },
  { id: "max", title: "Max", width: 60, right: true, sort: "max", hideBelow: 720, cell: (row) => fixed(row.dead ? null : row.max, 1) },
  { id: "mean", title: "Mean", width: 60, right: true, sort: "mean", hideBelow: 1100, cell: (row) => fixed(row.dead ? null : row.mean, 1) },
  { id: "samples", title: "Samples", width: 76, right: true, sort: "active_samples", hideBelow: 1100, cell: (row) => int(row.active_samples) },
  { id: "histogram", title: "Activations", width: 100, hideBelow: 900, cell: (row) => <Spark counts={row.histogram} /> },
  { id: "writer", title: "Written by", width: 92, sort: "label_source", up: true, hideBelow: Infinity, cell: (row) => <span className="soft">{row.label_source ?? ""}</span> },
  { id: "score", title: "Score", width: 104, right: true, sort: "detection_low", hideBelow: 720, cell: (row) => <Scored row={row} /> },
];

export const column = (id: string) => COLUMNS.find((one) => one.id === id);

/** Detection, and the lower end of its interval, by which one sorts: few snippets make a good score uncertain. */
const Scored = ({ row }: { row: FeatureRow }) => (
  <span title={row.detection_low === null ? "share of its examples that the rule covers" : `detection; at least ${fixed(row.detection_low)} with 95 % confidence`}>
    {fixed(row.score, 2)}{row.detection_low !== null && <span className="dim"> ≥{fixed(row.detection_low, 2)}</span>}
  </span>
);

const Chips = ({ tokens }: { tokens: readonly string[] }) => (
  <span className="chips">
    {tokens.map((token, at) => <TokenChip key={at} text={token} />)}
  </span>
);

/** The share, with a bar on a log scale from 0.001 % to 100 %. */
const Density = ({ value }: { value: number }) => (
  <span className="den">
    {value > 0 && <i style={{ width: `${Math.max(2, 40 * Math.min(1, (Math.log10(value) + 5) / 5))}px` }} />}
    <span>{density(value)}</span>
  </span>
);
