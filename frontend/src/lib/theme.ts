import { useSyncExternalStore } from "react";

export type Theme = "dark" | "light" | "system";
const KEPT = "saescope.theme";
const listeners = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem(KEPT);
  return kept === "dark" || kept === "light" ? kept : "system";
}

/** What is drawn now. */
export function shownTheme(): "dark" | "light" {
  const set = document.documentElement.dataset.theme;
  if (set === "dark" || set === "light") return set;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

export function setTheme(next: Theme): void {
  if (next === "system") {
    localStorage.removeItem(KEPT);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEPT, next);
    document.documentElement.dataset.theme = next;
  }
  for (const listener of listeners) listener();
}

export const toggleTheme = () => setTheme(shownTheme() === "dark" ? "light" : "dark");

/** The theme drawn now; canvases read their colours again when it changes. */
export function useShownTheme(): "dark" | "light" {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    const media = matchMedia("(prefers-color-scheme: light)");
    media.addEventListener("change", listener);
    return () => {
      listeners.delete(listener);
      media.removeEventListener("change", listener);
    };
  }, shownTheme);
}

/** A token of tokens.css, as written there. */
export const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
