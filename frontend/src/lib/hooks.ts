import { useNavigate, useRouterState } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Search } from "./search";

/** Words that say what is shown, and a way to change some of them. */
export type Words = [Search, (change: Search, options?: { push?: boolean }) => void];

/** The address's words; a change adds no step to the browser's history unless asked. */
export function useWords(): Words {
  const search = useRouterState({ select: (state) => state.location.search as Search });
  const navigate = useNavigate();
  const set = useCallback(
    (change: Search, options: { push?: boolean } = {}) =>
      void navigate({ to: ".", search: (old: Search) => ({ ...old, ...change }), replace: !options.push, resetScroll: false } as never),
    [navigate],
  );
  return [search, set];
}

/** The value once it has been the same for a while. */
export function useSettled<V>(value: V, after: number): V {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), after);
    return () => clearTimeout(timer);
  }, [value, after]);
  return settled;
}

/** A function that stays the same object and always does the newest thing. */
export function useStable<A extends unknown[], R>(run: (...args: A) => R): (...args: A) => R {
  const latest = useRef(run);
  latest.current = run;
  return useCallback((...args: A) => latest.current(...args), []);
}
