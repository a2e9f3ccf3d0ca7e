import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { level, tokenText } from "../src/parts/tokens";

const html = (text: string, breaks = false) => renderToStaticMarkup(<>{tokenText(text, breaks)}</>);

describe("a token's text", () => {
  it("shows spaces, newlines and tabs as signs", () => {
    expect(html(" a")).toBe('<wbr/><i class="sp">·</i>a');
    expect(html("\n")).toBe('<i class="nl">↵</i>');
    expect(html("\n", true)).toBe('<i class="nl">↵</i><br/>');
    expect(html("\t")).toBe('<i class="nl">⇥</i>');
  });
  it("never becomes markup", () => {
    expect(html("<img src=x onerror=alert(1)>")).not.toContain("<img");
  });
  it("names control characters and marks that turn the text around", () => {
    expect(html("a\u202eb")).toContain("‹202e›");
    expect(html("\u0007")).toContain("‹7›");
    expect(html("\ufffd")).toContain("‹byte›");
  });
  it("of no characters still shows that a token is there", () => {
    expect(html("")).toContain("‹empty›");
  });
});

describe("the activation scale", () => {
  it("has a floor, a ceiling and no step for nothing", () => {
    expect(level(0, 10)).toBe(0);
    expect(level(0.0001, 10)).toBe(1);
    expect(level(10, 10)).toBe(8);
    expect(level(25, 10)).toBe(8);
    expect(level(5, 10)).toBe(4);
  });
});
