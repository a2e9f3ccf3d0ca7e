import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { send } from "../api/actions";
import { useEndpoints, type Endpoint } from "../api/labels";
import { get } from "../api/queries";
import { fixed, int, moment, seconds } from "../lib/format";
import { Button } from "../parts/controls";
import { Confirm } from "../parts/dialog";
import { Failure, Loading } from "../parts/states";

interface Spent {
  url: string;
  model: string;
  states: Record<string, number>;
  tokens_in: number;
  tokens_out: number;
  /** Money, in billionths. */
  nano: number;
}
interface Tested {
  seconds: number;
  json: boolean;
  said: string;
}

const KEYS: Record<string, string> = { none: "none", file: "in a file of the home", keyring: "in the keyring", environment: "in the environment" };

/** Servers that write and judge labels. A key is sent once, when a server is added; it is never shown. */
export function Endpoints() {
  const endpoints = useEndpoints();
  const spending = useQuery({ queryKey: ["llm", "spending"], queryFn: ({ signal }) => get<Spent[]>("/llm/spending", signal), retry: false });
  const [adding, setAdding] = useState(false);
  const all = endpoints.data ?? [];
  return (
    <section className="setting endpoints">
      <h2>LLM endpoints</h2>
      <p className="xs dim">Servers that speak OpenAI’s protocol, for labels written and judged by a language model. Without one, labels are made by rule.</p>
      <Loading busy={endpoints.isPending} />
      {endpoints.isError && <Failure error={endpoints.error} retry={() => void endpoints.refetch()} />}
      {all.length > 0 && (
        <div className="things">
          <table className="table" aria-label="LLM endpoints">
            <thead><tr><th>Name</th><th>Model</th><th className="wide">Address</th><th className="wide">Key</th><th className="r wide">Price in, out</th><th className="wide">Added</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>{all.map((one) => <Line key={one.id} one={one} />)}</tbody>
          </table>
        </div>
      )}
      {adding ? <NewEndpoint onDone={() => setAdding(false)} /> : <Button icon="plus" onClick={() => setAdding(true)}>Add a server</Button>}
      {spending.data && spending.data.length > 0 && (
        <div className="things">
          <table className="table" aria-label="What was spent">
            <thead><tr><th>Spent at</th><th className="r">Calls</th><th className="r wide">Tokens in</th><th className="r wide">Tokens out</th><th className="r">Money</th></tr></thead>
            <tbody>
              {spending.data.map((one) => (
                <tr key={one.url + one.model}>
                  <td title={one.url}>{one.model}</td>
                  <td className="num" title={Object.entries(one.states).map(([state, calls]) => `${state} ${calls}`).join(", ")}>{int(Object.values(one.states).reduce((sum, calls) => sum + calls, 0))}</td>
                  <td className="num wide">{int(one.tokens_in)}</td>
                  <td className="num wide">{int(one.tokens_out)}</td>
                  <td className="num">{fixed(one.nano / 1e9, 4)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Line({ one }: { one: Endpoint }) {
  const client = useQueryClient();
  const at = `/llm/${encodeURIComponent(one.name)}`;
  const again = () => client.invalidateQueries({ queryKey: ["llm"] });
  const test = useMutation({ mutationFn: () => send<Tested>("POST", `${at}/test`), onSettled: again });
  const remove = useMutation({ mutationFn: () => send("DELETE", at), onSuccess: again });
  const [asking, setAsking] = useState(false);
  return (
    <>
      <tr>
        <td><b>{one.name}</b></td>
        <td className="soft mono" title={one.model}>{one.model}</td>
        <td className="soft mono wide" title={one.url}>{one.url}</td>
        <td className="soft wide">{KEYS[one.key] ?? one.key}</td>
        <td className="num wide">{fixed(one.price_in)}, {fixed(one.price_out)}</td>
        <td className="soft wide">{moment(one.created)}</td>
        <td className="r">
          <Button look="ghost" className="tight" disabled={test.isPending} onClick={() => test.mutate()}>{test.isPending ? "Asking…" : "Test"}</Button>
          <Button look="ghost" className="tight" onClick={() => setAsking(true)}>Remove</Button>
          <Confirm open={asking} onClose={() => setAsking(false)} title={`Remove ${one.name}?`} action="Remove" busy={remove.isPending} onConfirm={() => remove.mutate()}>
            <p>Its key is removed too. What was paid to it stays in the ledger.</p>
            {remove.isError && <Failure error={remove.error} />}
          </Confirm>
        </td>
      </tr>
      {(test.data || test.isError) && (
        <tr>
          <td colSpan={7} className="said" aria-live="polite">
            {test.data && <span className={test.data.json ? "soft" : "warn"}>{test.data.json ? `It answers, in JSON, after ${seconds(test.data.seconds)}.` : `△ It answers after ${seconds(test.data.seconds)}, but not in JSON: ${test.data.said}`}</span>}
            {test.isError && <span className="bad">△ {test.error.message}</span>}
          </td>
        </tr>
      )}
    </>
  );
}

/** The key's field is a password's: it is not shown, not kept here, not put into the address. */
function NewEndpoint({ onDone }: { onDone: () => void }) {
  const client = useQueryClient();
  const add = useMutation({
    mutationFn: (body: Record<string, unknown>) => send("POST", "/llm", body),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["llm"] });
      onDone();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const typed = new FormData(event.currentTarget);
    const text = (name: string) => String(typed.get(name) ?? "").trim();
    const price = (name: string) => (text(name) === "" ? null : Number(text(name)));
    add.mutate({ name: text("name"), url: text("url"), model: text("model"), key: text("key") || null, price_in: price("price_in"), price_out: price("price_out") });
  };
  const line = (name: string, title: string, more: Record<string, unknown> = {}) => (
    <div className="fieldline">
      <label htmlFor={`llm-${name}`}>{title}</label>
      <div className="fieldbox"><input id={`llm-${name}`} name={name} className="field" spellCheck={false} autoComplete="off" {...more} /></div>
    </div>
  );
  return (
    <form className="fields newendpoint" onSubmit={submit} aria-label="Add a server">
      {line("name", "name", { required: true, autoFocus: true })}
      {line("url", "address", { required: true, placeholder: "address of the server, up to /v1" })}
      {line("model", "model", { required: true })}
      {line("key", "key", { type: "password", autoComplete: "new-password", placeholder: "none" })}
      {line("price_in", "price of a million tokens in", { inputMode: "decimal", placeholder: "not known" })}
      {line("price_out", "price of a million tokens out", { inputMode: "decimal", placeholder: "not known" })}
      {add.isError && <Failure error={add.error} />}
      <div className="row">
        <Button look="primary" type="submit" disabled={add.isPending}>Add it</Button>
        <Button onClick={onDone}>Leave</Button>
        <span className="xs dim">The key goes into a file that only you can read, and is never shown again.</span>
      </div>
    </form>
  );
}
