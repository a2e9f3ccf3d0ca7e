import { failure } from "./client";

export type Mode = "add" | "set" | "min" | "scale" | "ablate";
export type Unit = "max" | "raw" | "norm";
export type Where = "all" | "prompt" | "generated";

export interface SteerRequest {
  sae: string;
  extraction: string;
  prompt: string;
  edits: { feature: number; mode: Mode; amount: number; unit: Unit }[];
  where: Where;
  max_new_tokens: number;
  temperature: number;
  seed: number;
}

export interface SteerToken {
  run: "original" | "steered";
  token: string;
  id: number;
  /** Log probability under the model without edits, where the server knows it. */
  logp?: number | null;
  /** Activations of the edited features at this token. */
  activations?: Record<string, number>;
}

export type SteerEvent =
  | ({ kind: "token" } & SteerToken)
  | { kind: "done"; original?: { perplexity?: number | null }; steered?: { perplexity?: number | null } }
  | { kind: "error"; message: string; hint: string };

/** Continue a prompt with and without edits, token by token. Aborting closes the connection and stops the model. */
export async function* steer(request: SteerRequest, signal: AbortSignal): AsyncGenerator<SteerEvent> {
  const response = await fetch("/api/steer", {
    method: "POST",
    body: JSON.stringify(request),
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    signal,
  });
  if (!response.ok || !response.body) throw await failure(response);
  for await (const { event, data } of events(response.body)) {
    const body = JSON.parse(data) as Record<string, unknown>;
    if (event === "error") {
      const error = (body.error ?? body) as { message?: string; hint?: string };
      yield { kind: "error", message: error.message ?? "it failed", hint: error.hint ?? "" };
    } else if (event === "done") yield { kind: "done", ...body };
    else if (event === "token") yield { kind: "token", ...(body as unknown as SteerToken) };
  }
}

/** Server-sent events out of a response's body: `event:` and `data:` lines, blank lines between. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<{ event: string; data: string; id?: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value.replace(/\r\n?/g, "\n");
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const block = rest.slice(0, end);
        rest = rest.slice(end + 2);
        let event = "message";
        let id: string | undefined;
        const data: string[] = [];
        for (const line of block.split("\n")) {
          if (line.startsWith("event:")) event = line.slice(6).trim();
          else if (line.startsWith("id:")) id = line.slice(3).trim();
          else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        }
        if (data.length) yield { event, data: data.join("\n"), ...(id === undefined ? {} : { id }) };
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
