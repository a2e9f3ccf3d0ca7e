import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { send } from "./actions";

/** A feature that is active somewhere on a text. */
export interface Fired {
  index: number;
  label: string | null;
  label_source: string | null;
  density: number;
  max: number;
  peaks_on: string[];
  positions: number[];
  values: number[];
}

export interface FireAnswer {
  tokens: string[];
  token_ids: number[];
  /** Tokens that take no part: BOS and other special ones. */
  special: boolean[];
  features: Fired[];
  active: number;
  truncated_to: number | null;
  milliseconds: number;
}

/** Which features are active on a text; only those named, when some are. */
export const fire = (extraction: string, text: string, features?: readonly number[]) =>
  queryOptions({
    queryKey: ["fire", extraction, text, features],
    queryFn: ({ signal }) => send<FireAnswer>("POST", "/fire", { extraction, text, ...(features ? { features } : {}) }, signal),
    enabled: text.trim() !== "",
    staleTime: Infinity,
    retry: false,
    placeholderData: keepPreviousData,
  });

/** One activation per token, zeros included. */
export function dense(fired: Fired | undefined, length: number): number[] {
  const values = new Array<number>(length).fill(0);
  fired?.positions.forEach((position, k) => {
    if (position < length) values[position] = fired.values[k] ?? 0;
  });
  return values;
}
