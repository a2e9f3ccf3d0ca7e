import { useEffect, useSyncExternalStore } from "react";

interface Note {
  id: number;
  text: string;
  undo?: () => void;
}

let notes: Note[] = [];
let next = 0;
const listeners = new Set<() => void>();
const tell = () => listeners.forEach((listener) => listener());

/** Say that something small was done, and offer to undo it, for six seconds. */
export function toast(text: string, undo?: () => void): void {
  const note: Note = { id: next++, text, ...(undo ? { undo } : {}) };
  notes = [...notes.slice(-2), note];
  tell();
}

const drop = (id: number) => {
  notes = notes.filter((note) => note.id !== id);
  tell();
};

export function Toasts() {
  const shown = useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, () => notes);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((note) => <Toast key={note.id} note={note} />)}
    </div>
  );
}

function Toast({ note }: { note: Note }) {
  useEffect(() => {
    const timer = setTimeout(() => drop(note.id), 6000);
    return () => clearTimeout(timer);
  }, [note.id]);
  return (
    <div className="toast">
      {note.text}
      {note.undo && <button type="button" className="acc" onClick={() => { note.undo?.(); drop(note.id); }}>Undo</button>}
    </div>
  );
}

/** Copy the page's address, or any text. */
export async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast("The browser did not allow copying");
  }
}
