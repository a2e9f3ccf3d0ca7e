import { describe, expect, it } from "vitest";
import type { Job } from "../src/api/jobs";
import { share, stateOf } from "../src/api/jobs";
import { next } from "../src/pages/home";
import { rowsOf } from "../src/api/trainings";
import { asCommand } from "../src/lib/command";
import { smooth } from "../src/lib/smooth";
import { read } from "../src/parts/spec-form";

describe("a field of a form", () => {
  it("left empty is left to the default", () => {
    expect(read("k", { type: "integer", default: 32 }, "")).toEqual({});
  });
  it("says what would work where it does not", () => {
    expect(read("d_sae", { type: "integer", exclusiveMinimum: 0 }, "0").error).toBe("d_sae is more than 0");
    expect(read("d_sae", { type: "integer" }, "1.5").error).toBe("d_sae is a whole number");
    expect(read("lr", { anyOf: [{ type: "number" }, { type: "null" }] }, "x").error).toBe("lr is a number");
  });
  it("takes numbers as people write them", () => {
    expect(read("tokens", { type: "integer" }, "1,000,000")).toEqual({ value: 1_000_000 });
    expect(read("lr", { anyOf: [{ type: "number" }, { type: "null" }] }, "4e-4")).toEqual({ value: 4e-4 });
  });
  it("takes a word where the spec has one beside the number", () => {
    const size = { anyOf: [{ const: "auto", type: "string" }, { type: "integer" }] };
    expect(read("vectorization_batch_size", size, "auto")).toEqual({ value: "auto" });
    expect(read("vectorization_batch_size", size, "64")).toEqual({ value: 64 });
  });
  it("of several values is a list", () => {
    expect(read("saes", { type: "array", items: { type: "string" } }, "a, b")).toEqual({ value: ["a", "b"] });
    expect(read("prefixes", { type: "array", items: { type: "integer" } }, "256,512")).toEqual({ value: [256, 512] });
  });
});

const job = (more: Partial<Job>): Job => ({ id: "1", verb: "train_sae", name: "", spec: {}, lane: "device", state: "running", attempt: 1, cancel: false, made: [], progress: null, result: null, error: null, created: 0, started: 0, ended: null, heartbeat: 100, ...more });

describe("a job", () => {
  it("that is silent for ten seconds is called stalled, one that is not running never", () => {
    expect(stateOf(job({}), 105)).toBe("running");
    expect(stateOf(job({}), 111)).toBe("stalled");
    expect(stateOf(job({ state: "queued" }), 500)).toBe("queued");
    expect(stateOf(job({ cancel: true }), 101)).toBe("cancelling");
  });
  it("has a share only where its total is known", () => {
    expect(share(job({ progress: { phase: "p", done: 1, total: 4, unit: "samples" } }))).toBe(0.25);
    expect(share(job({ progress: { phase: "p", done: 1, total: null, unit: "samples" } }))).toBeNull();
  });
});

it("the next steps follow from what is there", () => {
  expect(next(0, 0, [], []).map(([text]) => text)).toEqual(["Add a dataset", "Add a model"]);
  expect(next(1, 1, ["s"], []).map(([text]) => text)).toEqual(["Extract the features of s"]);
  expect(next(1, 1, ["s"], [{ name: "e", sae: "s" }])[0]?.[1]).toBe("/features/e?sort=-detection_low");
});

it("a smoothed curve begins where the curve begins and stays inside it", () => {
  const smoothed = smooth([...Array<number>(40).fill(4), ...Array<number>(40).fill(0)], 0.85) as number[];
  expect(smoothed[0]).toBe(4);
  expect(Math.max(...smoothed)).toBe(4);
  expect(smoothed.at(-1)).toBeLessThan(0.1);
  expect(smooth([1, null, 3], 0)).toEqual([1, 1, 3]);
});

it("a spec is copied as the command that asks for the same", () => {
  expect(asCommand("extract_features", { saes: ["a", "b"], dataset: "my text", force: true, include_special: false, top_k: 5 })).toBe("saescope extract --sae a --sae b --dataset 'my text' --force --top-k 5");
});

it("columns of metrics become rows", () => {
  expect(rowsOf({ step: [1, 2], fvu: [0.5, null] })).toEqual([{ step: 1, fvu: 0.5 }, { step: 2, fvu: null }]);
  expect(rowsOf({})).toEqual([]);
});
