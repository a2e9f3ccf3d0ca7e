import { describe, expect, it } from "vitest";
import { bytes, density, figures, fixed, int, percent, seconds } from "../src/lib/format";
import { parseSearch, stringifySearch } from "../src/lib/search";

describe("numbers", () => {
  it("show densities with two decimals from 0.1 %, three below, 0 for dead", () => {
    expect(density(0.0105)).toBe("1.05 %");
    expect(density(0.0004)).toBe("0.040 %");
    expect(density(0)).toBe("0");
  });
  it("are a dash where there is none", () => {
    for (const show of [int, fixed, percent, density, figures, bytes, seconds]) {
      expect(show(null)).toBe("–");
      expect(show(Number.NaN)).toBe("–");
    }
  });
  it("have a minus sign, not a hyphen", () => {
    expect(fixed(-0.5)).toBe("−0.50");
  });
});

describe("an address", () => {
  it("keeps what it says, whatever that is", () => {
    const said = { q: "a&b=c #1 % é", sort: "-score,density", n: "42" };
    expect(parseSearch(stringifySearch(said).slice(1))).toEqual(said);
  });
  it("stays readable and leaves out what is not said", () => {
    expect(stringifySearch({ sort: "-score,density", q: undefined, w: "" })).toBe("?sort=-score,density");
  });
});
