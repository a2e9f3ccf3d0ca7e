// @vitest-environment node
import { expect, it } from "vitest";
import { events } from "../src/api/steer";

const stream = (...parts: string[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });

it("reads events whichever way the network cuts them", async () => {
  const found = [];
  for await (const event of events(stream("event: tok", 'en\ndata: {"a"', ": 1}\n\n: ping\n\nid: 7\ndata: x\ndata: y\n", "\n"))) found.push(event);
  expect(found).toEqual([
    { event: "token", data: '{"a": 1}' },
    { event: "message", data: "x\ny", id: "7" },
  ]);
});
