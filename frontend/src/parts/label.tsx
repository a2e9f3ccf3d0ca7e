import { memo } from "react";

/** A feature's label: written ones in full ink, made by rule softer, none in grey. Any length, any direction. */
export const Label = memo(function Label({ text, source, className = "" }: { text: string | null | undefined; source?: string | null | undefined; className?: string }) {
  if (!text) return <span className={`cut dim ${className}`}>no label yet</span>;
  return <bdi className={`cut ${source === "lexical" ? "soft" : ""} ${className}`} title={text}>{text}</bdi>;
});
