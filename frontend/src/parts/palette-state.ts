import { useSyncExternalStore } from "react";

/** Which window above all pages is open; held apart from the windows, so that pages need not load them. */
export type Overlay = "palette" | "keys" | null;

let open: Overlay = null;
const listeners = new Set<() => void>();

export function setOverlay(next: Overlay): void {
  open = next;
  for (const listener of listeners) listener();
}

export const openPalette = () => setOverlay("palette");

export function useOverlay(): Overlay {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, () => open);
}
