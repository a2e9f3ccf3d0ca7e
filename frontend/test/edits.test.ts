import { describe, expect, it } from "vitest";
import { asCommand, readEdits, readSampling, spokenEdit, writeEdits } from "../src/pages/steer/edits";

describe("edits in the address", () => {
  it("come back as they were written", () => {
    const text = "3446:add:1.25:max,!17:ablate,9:scale:2,12:set:-3:raw";
    expect(writeEdits(readEdits(text))).toBe(text);
  });
  it("are read leniently: one per feature, the rest by default", () => {
    expect(readEdits("5,5:set:1,x:add:1,7:nonsense:abc:furlongs")).toEqual([
      { feature: 5, mode: "add", amount: 1, unit: "max", off: false },
      { feature: 7, mode: "add", amount: 1, unit: "max", off: false },
    ]);
  });
  it("are spoken with sign and unit", () => {
    expect(readEdits("1:add:-2:max,2:ablate,3:min:0.5:norm").map(spokenEdit)).toEqual(["1 − 2 × max", "2 ablated", "3 ≥ 0.5 × norm"]);
  });
});

it("sampling from the address stays inside its limits", () => {
  expect(readSampling({ n: "100000", t: "-1", seed: "x", where: "generated" })).toMatchObject({ tokens: 2048, temperature: 0, seed: 0, where: "generated" });
});

it("the command survives quotes in the prompt", () => {
  const request = { sae: "s", extraction: "e", prompt: "it's", edits: [{ feature: 1, mode: "add" as const, amount: 1, unit: "max" as const }], where: "all" as const, max_new_tokens: 8, temperature: 0, seed: 0 };
  expect(asCommand(request)).toContain(`--prompt 'it'\\''s' --edit 1:add:1:max`);
});
