import { getCoreRowModel, useReactTable, type ColumnSizingState } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useMemo, useRef, type MouseEvent, type ReactNode } from "react";
import { PAGE, type FeatureRow, type Query } from "../../api/features";
import { int } from "../../lib/format";
import { Icon } from "../../parts/icons";
import { Skeleton } from "../../parts/states";
import { COLUMNS, column, type Column } from "./columns";
import { usePages } from "./pages";

const ROW = 28;

export interface Layout {
  /** Ids of the columns shown, in order. */
  order: string[];
  /** Pixels of those that were resized. */
  widths: Record<string, number>;
}

interface Props {
  extraction: string;
  query: Query;
  matching: number | undefined;
  layout: Layout;
  onLayout: (layout: Layout) => void;
  sort: { field: string; down: boolean }[];
  onSort: (field: string, up: boolean, second: boolean) => void;
  /** Place of the chosen row in the list. */
  at: number;
  onAt: (at: number, row: FeatureRow | undefined) => void;
  onOpen: (row: FeatureRow, at: number, aside: boolean) => void;
  onStar: (row: FeatureRow) => void;
  stale: boolean;
  empty: ReactNode;
}

/** The dictionary, row by row: only what is on the screen is drawn, only pages near it are read. */
export function FeatureTable({ extraction, query, matching, layout, onLayout, sort, onSort, at, onAt, onOpen, onStar, stale, empty }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const count = matching ?? 0;
  const virtual = useVirtualizer({ count, getScrollElement: () => scroller.current, estimateSize: () => ROW, overscan: 12, paddingStart: ROW, scrollPaddingStart: ROW, useFlushSync: false });
  const items = virtual.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  const pages = usePages(extraction, query, count, first, last, virtual.isScrolling);
  const rowAt = (position: number) => pages.get(Math.floor(position / PAGE))?.[position % PAGE];

  const table = useReactTable({
    data: NOTHING,
    columns: useMemo(() => COLUMNS.map((one) => ({ id: one.id, header: one.title, size: one.width || 240, minSize: 44 })), []),
    getCoreRowModel: getCoreRowModel(),
    columnResizeMode: "onChange",
    manualSorting: true,
    state: { columnOrder: layout.order, columnVisibility: Object.fromEntries(COLUMNS.map((one) => [one.id, layout.order.includes(one.id)])), columnSizing: layout.widths },
    onColumnSizingChange: (change) => {
      const next: ColumnSizingState = typeof change === "function" ? change(layout.widths) : change;
      onLayout({ ...layout, widths: next });
    },
  });
  const shown = table.getVisibleLeafColumns().map((leaf) => column(leaf.id)).filter((one): one is Column => one !== undefined);
  const template = ["44px", ...shown.map((one) => (layout.widths[one.id] ? `${layout.widths[one.id]}px` : one.width ? `${one.width}px` : "minmax(160px, 1fr)"))].join(" ");
  const least = 44 + shown.reduce((sum, one) => sum + (layout.widths[one.id] ?? (one.width || 160)), 0);

  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 });
  }, [query, extraction]);
  const moved = useRef(false);
  useEffect(() => {
    if (count > at && moved.current) virtual.scrollToIndex(at, { align: "auto" });
    moved.current = true;
  }, [at, count, virtual]);
  const row = rowAt(at);
  const latest = useRef(onAt);
  latest.current = onAt;
  useEffect(() => latest.current(at, row), [at, row]);

  const sorted = (one: Column) => sort.findIndex((key) => key.field === one.sort);
  return (
    <div className="tblwrap">
    <div className="tbl" ref={scroller} role="grid" aria-label="Features" aria-rowcount={count + 1} aria-colcount={shown.length + 1} tabIndex={0} aria-activedescendant={count ? `row-${at}` : undefined}>
      <div className="sheet" style={{ height: Math.max(virtual.getTotalSize(), ROW), minWidth: least }}>
        <div className="line head" role="row" style={{ gridTemplateColumns: template }}>
          <span role="columnheader"><span className="sr">Star</span></span>
          {shown.map((one) => {
            const place = sorted(one);
            const down = place >= 0 && sort[place]?.down;
            const header = table.getFlatHeaders().find((each) => each.id === one.id);
            return (
              <span key={one.id} role="columnheader" className={one.right ? "r" : ""} aria-sort={place === 0 ? (down ? "descending" : "ascending") : undefined}>
                {one.sort ? (
                  <button type="button" title={`Sort by ${one.title.toLowerCase()}; Shift adds a second key`} onClick={(event) => onSort(one.sort!, one.up ?? false, event.shiftKey)}>
                    {one.title}
                    {place >= 0 && <span className="arrow">{down ? "↓" : "↑"}{sort.length > 1 && <sup>{place + 1}</sup>}</span>}
                  </button>
                ) : (
                  one.title
                )}
                {header && <i className="grip" onMouseDown={header.getResizeHandler()} onTouchStart={header.getResizeHandler()} onDoubleClick={() => { const { [one.id]: _, ...rest } = layout.widths; onLayout({ ...layout, widths: rest }); }} />}
              </span>
            );
          })}
        </div>
        {items.map((item) => (
          <Row
            key={item.index}
            at={item.index}
            top={item.start}
            row={rowAt(item.index)}
            columns={shown}
            template={template}
            chosen={item.index === at}
            stale={stale}
            onAt={onAt}
            onOpen={onOpen}
            onStar={onStar}
          />
        ))}
      </div>
      {virtual.isScrolling && count > 2000 && <Hint position={first} count={count} scroller={scroller.current} />}
    </div>
      {matching === undefined && <div className="over"><Skeleton rows={14} /></div>}
      {matching === 0 && <div className="over">{empty}</div>}
    </div>
  );
}

const NOTHING: never[] = [];

interface RowProps {
  at: number;
  top: number;
  row: FeatureRow | undefined;
  columns: readonly Column[];
  template: string;
  chosen: boolean;
  stale: boolean;
  onAt: (at: number, row: FeatureRow | undefined) => void;
  onOpen: (row: FeatureRow, at: number, aside: boolean) => void;
  onStar: (row: FeatureRow) => void;
}

const Row = memo(
  function Row({ at, top, row, columns, template, chosen, stale, onAt, onOpen, onStar }: RowProps) {
    const click = (event: MouseEvent) => {
      onAt(at, row);
      if (row) onOpen(row, at, event.ctrlKey || event.metaKey);
    };
    return (
      <div id={`row-${at}`} className={stale ? "line stale" : "line"} role="row" aria-rowindex={at + 2} aria-selected={chosen} style={{ transform: `translateY(${top}px)`, gridTemplateColumns: template }} onClick={click}>
        {row ? (
          <>
            <span role="gridcell">
              <button
                type="button"
                tabIndex={-1}
                className={row.starred ? "star on" : "star"}
                aria-label={row.starred ? `Remove star of ${row.index}` : `Star ${row.index}`}
                aria-pressed={row.starred}
                onClick={(event) => {
                  event.stopPropagation();
                  onStar(row);
                }}
              >
                <Icon name="star" size={14} filled={row.starred} />
              </button>
            </span>
            {columns.map((one) => (
              <span key={one.id} role="gridcell" className={one.right ? "num" : "cut"}>{one.cell(row)}</span>
            ))}
          </>
        ) : (
          <>
            <span />
            <span className="num dim">…</span>
          </>
        )}
      </div>
    );
  },
  (a, b) => a.row === b.row && a.top === b.top && a.chosen === b.chosen && a.template === b.template && a.columns.length === b.columns.length && a.stale === b.stale && a.onAt === b.onAt && a.onOpen === b.onOpen,
);

/** Where one is in a long list, beside the scrollbar, while it moves. */
function Hint({ position, count, scroller }: { position: number; count: number; scroller: HTMLDivElement | null }) {
  if (!scroller) return null;
  const share = scroller.scrollTop / Math.max(1, scroller.scrollHeight - scroller.clientHeight);
  return <div className="rowhint" aria-hidden="true" style={{ top: `${scroller.scrollTop + 32 + share * (scroller.clientHeight - 64)}px` }}>row {int(position + 1)} of {int(count)}</div>;
}
