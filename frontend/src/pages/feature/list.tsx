import { keepPreviousData, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { feature } from "../../api/feature";
import { featurePage, featurePosition, PAGE, type Query } from "../../api/features";
import { int } from "../../lib/format";
import type { Search } from "../../lib/search";
import { IconButton } from "../../parts/controls";
import { Label } from "../../parts/label";
import { usePages } from "../features/pages";

export interface Neighbours {
  previous: number | null;
  next: number | null;
}

/** Who stands before and after this feature in the list; both are read ahead. */
export function useNeighbours(extraction: string, query: Query, index: number): Neighbours {
  const client = useQueryClient();
  const placed = useQuery(featurePosition(extraction, query, index));
  const position = placed.data?.position ?? null;
  const count = placed.data?.matching ?? 0;
  const wanted = position === null ? [] : [position - 1, position + 1].filter((at) => at >= 0 && at < count);
  const pages = [...new Set(wanted.map((at) => Math.floor(at / PAGE)))];
  const read = useQueries({ queries: pages.map((page) => featurePage(extraction, query, page)) });
  const at = (place: number) => (position === null ? null : (read[pages.indexOf(Math.floor(place / PAGE))]?.data?.features[place % PAGE]?.index ?? null));
  const previous = position ? at(position - 1) : null;
  const next = position === null ? null : at(position + 1);
  useEffect(() => {
    for (const near of [next, previous]) if (near !== null) void client.prefetchQuery(feature(extraction, near));
  }, [previous, next, extraction, client]);
  return { previous, next };
}

interface Props {
  extraction: string;
  query: Query;
  index: number;
  search: Search;
  beside: Neighbours;
  onStep: (by: 1 | -1) => void;
  sortedBy: string;
}

/** The filtered, sorted set one came from: where this feature stands in it, and who stands beside it. */
export function FeatureList({ extraction, query, index, search, beside, onStep, sortedBy }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const placed = useQuery({ ...featurePosition(extraction, query, index), placeholderData: keepPreviousData });
  const count = placed.data?.matching ?? 0;
  const position = placed.data?.position ?? null;
  const virtual = useVirtualizer({ count, getScrollElement: () => scroller.current, estimateSize: () => 28, overscan: 8 });
  const items = virtual.getVirtualItems();
  const pages = usePages(extraction, query, count, items[0]?.index ?? 0, items.at(-1)?.index ?? 0, virtual.isScrolling);
  const rowAt = (at: number) => pages.get(Math.floor(at / PAGE))?.[at % PAGE];

  const seen = useRef(false);
  useEffect(() => {
    if (position === null || !count) return;
    virtual.scrollToIndex(position, { align: seen.current ? "auto" : "center" });
    seen.current = true;
  }, [position, count, virtual]);

  const total = placed.data?.total;
  return (
    <nav className="list" aria-label="Features of this list">
      <header>
        <Link to="/features/$extraction" params={{ extraction }} search={search as never} className="cut" title="Back to the list">
          {placed.data ? (count === total ? `${int(count)} features` : `${int(count)} of ${int(total)}`) : " "}
          {sortedBy && `, by ${sortedBy}`}
        </Link>
        <span className="grow" />
        <IconButton icon="up" label="Previous" keys="k" small onClick={() => onStep(-1)} disabled={beside.previous === null} />
        <IconButton icon="down" label="Next" keys="j" small onClick={() => onStep(1)} disabled={beside.next === null} />
      </header>
      {placed.isSuccess && position === null && !placed.isPlaceholderData && <p className="xs dim aside">{index} is not in this list.</p>}
      <div ref={scroller} className="scroll">
        <ol className="sheet" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rowAt(item.index);
            return (
              <li key={item.index} style={{ transform: `translateY(${item.start}px)` }}>
                {row ? (
                  <Link to="/features/$extraction/$index" params={{ extraction, index: String(row.index) }} search={search as never} aria-current={row.index === index ? "page" : undefined} tabIndex={row.index === index ? 0 : -1} replace>
                    <span className="num">{row.index}</span>
                    <Label text={row.label} source={row.label_source} />
                  </Link>
                ) : (
                  <span className="num dim">…</span>
                )}
              </li>
            );
          })}
        </ol>
      </div>
    </nav>
  );
}
