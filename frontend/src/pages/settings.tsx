import { useState } from "react";
import { SINGLE_KEYS, singleKeys } from "../lib/keys";
import { setTheme, theme, type Theme } from "../lib/theme";
import { Checkbox, Segment } from "../parts/controls";
import { Page } from "../parts/page";
import { Endpoints } from "./llm";

/** What this browser remembers, and the servers that the home knows. */
export function Settings() {
  const [shown, setShown] = useState<Theme>(theme());
  const [single, setSingle] = useState(singleKeys());
  return (
    <Page title="Settings">
      <div className="page">
        <section className="setting">
          <h2>Theme</h2>
          <Segment label="Theme" value={shown} onChange={(next) => { setTheme(next); setShown(next); }} options={[{ value: "system", text: "as the system" }, { value: "dark", text: "dark" }, { value: "light", text: "light" }]} />
          <p className="xs dim">Kept in this browser. Ctrl . changes it anywhere.</p>
        </section>
        <section className="setting">
          <h2>Keys</h2>
          <Checkbox checked={single} onChange={(event) => { localStorage.setItem(SINGLE_KEYS, event.target.checked ? "on" : "off"); setSingle(event.target.checked); }}>single letters are keys</Checkbox>
          <p className="xs dim">Off: only keys with Ctrl, the arrows, Enter and Esc work. With speech input, turn it off. <kbd>?</kbd> lists the keys of a page.</p>
        </section>
        <Endpoints />
      </div>
    </Page>
  );
}
