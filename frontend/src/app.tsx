import { Tooltip } from "@base-ui/react/tooltip";
import { Outlet, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect } from "react";
import { listenForKeys, useKeys } from "./lib/keys";
import { toggleTheme } from "./lib/theme";
import { setOverlay, useOverlay } from "./parts/palette-state";
import { Palette } from "./parts/palette";
import { MainRail, useCurrentExtraction } from "./parts/rail";
import { copy, Toasts } from "./parts/toast";

const KeyHelp = lazy(() => import("./parts/keyhelp").then((part) => ({ default: part.KeyHelp })));

/** What stands around every page: the rail, the windows above, the keys that work everywhere. */
export function App() {
  const navigate = useNavigate();
  const overlay = useOverlay();
  const extraction = useCurrentExtraction();
  useEffect(listenForKeys, []);
  const go = (to: string) => () => void navigate({ to });
  const scoped = (page: string) => go(extraction ? `/${page}/${encodeURIComponent(extraction)}` : `/${page}`);
  useKeys("Everywhere", [
    { keys: ["Ctrl+k"], label: "Search or jump to", inFields: true, inWindows: true, run: () => setOverlay(overlay === "palette" ? null : "palette") },
    { keys: ["?"], label: "These keys", run: () => setOverlay("keys") },
    { keys: ["y"], label: "Copy link", run: () => void copy(location.href, "Link copied") },
    { keys: ["Ctrl+."], label: "Dark or light", inFields: true, inWindows: true, run: toggleTheme },
  ], true);
  useKeys("Go to", [
    { keys: ["g h"], label: "Home", run: go("/") },
    { keys: ["g f"], label: "Features", run: scoped("features") },
    { keys: ["g r"], label: "Fire", run: scoped("fire") },
    { keys: ["g s"], label: "Steer", run: scoped("steer") },
    { keys: ["g d"], label: "Datasets", run: go("/datasets") },
    { keys: ["g m"], label: "Models", run: go("/models") },
    { keys: ["g a"], label: "SAEs", run: go("/saes") },
    { keys: ["g t"], label: "Train", run: go("/train") },
    { keys: ["g e"], label: "Extract", run: go("/extract") },
    { keys: ["g j"], label: "Jobs", run: go("/jobs") },
    { keys: ["g ,"], label: "Settings", run: go("/settings") },
  ], true);
  return (
    <Tooltip.Provider delay={400}>
      <a className="skip" href="#main">Skip to content</a>
      <div className="app">
        <MainRail />
        <div className="main">
          <Outlet />
        </div>
      </div>
      {overlay === "palette" && <Palette onClose={() => setOverlay(null)} />}
      <Suspense>
        {overlay === "keys" && <KeyHelp onClose={() => setOverlay(null)} />}
      </Suspense>
      <Toasts />
    </Tooltip.Provider>
  );
}
