import { useEffect, useRef, useSyncExternalStore } from "react";

/** A key and what it does here. `keys` as typed: "j", "Ctrl+Enter", "Shift+T", "g h" (one after the other). */
export interface Key {
  keys: string[];
  label: string;
  run?: (event: KeyboardEvent) => void;
  /** Also while a text field has the focus. */
  inFields?: boolean;
  /** Also while a window above the page is open. */
  inWindows?: boolean;
}

interface Scope {
  name: string;
  keys: Key[];
  /** What works everywhere answers after what works on the page. */
  everywhere: boolean;
}

const scopes: Scope[] = [];
const listeners = new Set<() => void>();
let snapshot: Scope[] = [];

function changed() {
  snapshot = [...scopes.filter((scope) => !scope.everywhere).reverse(), ...scopes.filter((scope) => scope.everywhere)];
  for (const listener of listeners) listener();
}

/** Keys of a page or part, while it is shown. The newest scope answers first, those of everywhere last. */
export function useKeys(name: string, keys: Key[], everywhere = false): void {
  const latest = useRef(keys);
  latest.current = keys;
  const shape = keys.map((key) => `${key.keys.join()}:${key.label}`).join("|");
  useEffect(() => {
    const scope: Scope = { name, everywhere, keys: latest.current.map((key, at) => ({ ...key, run: (event) => latest.current[at]?.run?.(event) })) };
    scopes.push(scope);
    changed();
    return () => {
      scopes.splice(scopes.indexOf(scope), 1);
      changed();
    };
  }, [name, shape, everywhere]);
}

/** Every key that works now, for the help. */
export function useKeyScopes(): Scope[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => snapshot,
  );
}

export const SINGLE_KEYS = "saescope.singleKeys";

export function singleKeys(): boolean {
  return localStorage.getItem(SINGLE_KEYS) !== "off";
}

/** Whether typing here goes into a text. */
export function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "range"].includes(target.type);
}

export function named(event: KeyboardEvent): string {
  const key = event.key === " " ? "Space" : event.key.length === 1 && (event.ctrlKey || event.metaKey) ? event.key.toLowerCase() : event.key;
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (key.length > 1 || event.ctrlKey || event.metaKey || /[a-zA-Z]/.test(key))) parts.push("Shift");
  parts.push(event.shiftKey && /^[a-z]$/i.test(key) ? key.toUpperCase() : key);
  return parts.join("+");
}

let pending = "";
let pendingSince = 0;

function answer(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const name = named(event);
  const inField = typing(event.target);
  const single = !name.startsWith("Ctrl+") && name.length === 1;
  if (single && !singleKeys()) return;
  const chord = pending && event.timeStamp - pendingSince < 1200 ? `${pending} ${name}` : "";
  pending = "";
  // A window above the page keeps the keys to itself, but for those that open and close windows.
  const modal = document.querySelector("[data-modal]") !== null;
  const live = snapshot.flatMap((scope) => scope.keys).filter((key) => key.run && (!inField || key.inFields) && (!modal || key.inWindows));
  // A letter that ends a chord means the chord, also where the page has a use for that letter alone.
  const found = (chord && live.find((key) => key.keys.includes(chord))) || live.find((key) => key.keys.includes(name));
  if (found) {
    event.preventDefault();
    found.run?.(event);
  } else if (live.some((key) => key.keys.some((typed) => typed.startsWith(`${name} `)))) {
    pending = name;
    pendingSince = event.timeStamp;
  }
}

export function listenForKeys(): () => void {
  document.addEventListener("keydown", answer);
  return () => document.removeEventListener("keydown", answer);
}
