import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { send } from "../api/actions";
import { Confirm } from "./dialog";
import { Failure } from "./states";

export interface Column<T> {
  title: string;
  cell: (thing: T) => ReactNode;
  right?: boolean;
  /** Left out on phones. */
  wide?: boolean;
}

/** A plain table of the things there are of one kind; the first cell opens one. */
export function Things<T extends { name: string }>({ label, rows, columns, to }: { label: string; rows: readonly T[]; columns: readonly Column<T>[]; to: (thing: T) => string }) {
  return (
    <div className="things">
      <table className="table" aria-label={label}>
        <thead>
          <tr>
            <th>Name</th>
            {columns.map((column) => <th key={column.title} className={`${column.right ? "r" : ""} ${column.wide ? "wide" : ""}`}>{column.title}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((thing) => (
            <tr key={thing.name}>
              <td title={thing.name}><Link to={to(thing) as "/"}><b>{thing.name}</b></Link></td>
              {columns.map((column) => <td key={column.title} className={`${column.right ? "num" : "soft"} ${column.wide ? "wide" : ""}`}>{column.cell(thing)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Ask before a thing is taken out of the home; what is made from it stands in the server's refusal. */
export function Remove({ kind, name, open, onClose, depends, then }: { kind: "datasets" | "models" | "saes" | "extractions"; name: string; open: boolean; onClose: () => void; depends: readonly string[]; then: string }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => send("DELETE", `/${kind}/${encodeURIComponent(name)}`),
    onSuccess: async () => {
      await navigate({ to: then as "/" });
      await client.invalidateQueries();
    },
  });
  return (
    <Confirm open={open} onClose={onClose} title={`Remove ${name}?`} action="Remove" busy={remove.isPending || depends.length > 0} onConfirm={() => remove.mutate()}>
      {depends.length > 0 ? (
        <>
          <p>It cannot be removed while these are made from it:</p>
          <ul className="mono">{depends.map((one) => <li key={one}>{one}</li>)}</ul>
        </>
      ) : (
        <p>It is taken off the disk. What it was made from stays.</p>
      )}
      {remove.isError && <Failure error={remove.error} />}
    </Confirm>
  );
}
