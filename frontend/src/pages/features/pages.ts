import { useQueries, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { featurePage, PAGE, type FeatureRow, type Query } from "../../api/features";

/** The pages around what is on the screen; while the list flies past, none is asked for. */
export function usePages(extraction: string, query: Query, count: number, first: number, last: number, moving: boolean): Map<number, FeatureRow[]> {
  const client = useQueryClient();
  const [settled, setSettled] = useState({ first, last });
  useEffect(() => {
    const far = Math.abs(first - settled.first) > 2 * PAGE;
    if (!moving || !far) {
      setSettled({ first, last });
      return;
    }
    const timer = setTimeout(() => setSettled({ first, last }), 90);
    return () => clearTimeout(timer);
  }, [first, last, moving, settled.first]);
  const wanted = useMemo(() => {
    if (!count) return [];
    const pages: number[] = [];
    const end = Math.floor((count - 1) / PAGE);
    for (let page = Math.max(0, Math.floor(settled.first / PAGE)); page <= Math.min(end, Math.floor((settled.last + 20) / PAGE)); page++) pages.push(page);
    return pages;
  }, [settled, count]);
  const results = useQueries({ queries: wanted.map((page) => featurePage(extraction, query, page)) });
  const found = new Map<number, FeatureRow[]>();
  wanted.forEach((page, k) => {
    const data = results[k]?.data;
    if (data) found.set(page, data.features);
  });
  for (const page of [Math.floor(first / PAGE), Math.floor(last / PAGE)]) {
    if (found.has(page)) continue;
    const kept = client.getQueryData(featurePage(extraction, query, page).queryKey);
    if (kept) found.set(page, kept.features);
  }
  return found;
}
