import { describe, expect, it } from "vitest";
import { clauses, joined, spoken, typed } from "../src/lib/where";

describe("conditions on features", () => {
  it("are split at 'and' and commas, never inside quotes", () => {
    expect(clauses("density<0.01 and not dead, label~'war and peace'")).toEqual(["density<0.01", "not dead", "label~'war and peace'"]);
    expect(clauses(undefined)).toEqual([]);
  });
  it("come back the same when they are joined again", () => {
    const where = "density>=0.002 and density<=0.016 and dead";
    expect(joined(clauses(where))).toBe(where);
  });
  it("that cannot be read stay one chip, so that they can be removed", () => {
    expect(clauses("density<0.01 and ((")).toEqual(["density<0.01", "(("]);
  });
  it("read as a name and a value", () => {
    expect(spoken("density<=0.016")).toEqual(["density", "≤ 1.6 %"]);
    expect(spoken("not dead")).toEqual(["dead", "no"]);
    expect(spoken("label~law")).toEqual(["label", "“law”"]);
  });
  it("can be typed as people write them", () => {
    expect(typed("density < 1%")).toBe("density<0.01");
    expect(typed("dead: no")).toBe("not dead");
  });
});
