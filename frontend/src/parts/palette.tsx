import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useRouterState } from "@tanstack/react-router";
import { Fragment, useMemo, useState, type ReactNode } from "react";
import { star } from "../api/actions";
import { feature } from "../api/feature";
import { featureSearch } from "../api/features";
import { useDatasets, useExtractions, useModels, useSaes } from "../api/queries";
import { density, int, plural } from "../lib/format";
import { useSettled } from "../lib/hooks";
import { setTray, tray } from "../lib/tray";
import { toggleTheme } from "../lib/theme";
import { Dialog } from "./dialog";
import { Marked, useOptions } from "./feature-search";
import { Icon, type IconName } from "./icons";
import { Label } from "./label";
import { setOverlay } from "./palette-state";
import { useCurrentExtraction } from "./rail";
import { copy } from "./toast";
import { TokenChip } from "./tokens";

interface Option {
  icon: IconName;
  text: ReactNode;
  aside?: ReactNode;
  index?: number;
  run: () => void;
}

interface Group {
  title: string;
  aside?: string;
  options: Option[];
}

const MOST = 5;

/** Everything by name: features, what can be done here, pages, SAEs, datasets. `#` index, `>` command, `@` SAE or extraction. */
export function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const extraction = useCurrentExtraction();
  const navigate = useNavigate();
  const client = useQueryClient();
  const { index } = useParams({ strict: false }) as { index?: string };
  const path = useRouterState({ select: (state) => state.location.pathname });
  const here = index !== undefined && path.startsWith("/features/") ? Number(index) : null;
  const kind = /^[#>@]/.exec(text)?.[0] ?? "";
  const words = text.replace(/^[#>@]\s*/, "").trim();
  const settled = useSettled(words, 30);
  const wantsFeatures = extraction !== null && (kind === "" || kind === "#") && settled !== "";
  const found = useQuery({ ...featureSearch(extraction ?? "", settled, MOST), enabled: wantsFeatures, placeholderData: keepPreviousData });
  const shown = useQuery({ ...feature(extraction ?? "", here ?? 0), enabled: here !== null && extraction !== null }).data;
  const extractions = useExtractions().data ?? [];
  const named = (all: readonly { name: string }[] | undefined) => (all ?? []).map((one) => one.name);
  const [datasets, models, saes] = [useDatasets().data, useModels().data, useSaes().data];
  const leave = (run: () => void) => () => {
    onClose();
    run();
  };
  const to = (address: string) => leave(() => void navigate({ to: address }));
  const scoped = (page: string) => to(extraction ? `/${page}/${encodeURIComponent(extraction)}` : `/${page}`);

  const groups = useMemo<Group[]>(() => {
    const match = (name: string) => name.toLowerCase().includes(words.toLowerCase());
    const made: Group[] = [];
    if (wantsFeatures && found.data) {
      made.push({
        title: "Features",
        aside: plural(found.data.matching, "match", "matches"),
        options: found.data.features.slice(0, MOST).map((row) => ({
          icon: "grid",
          index: row.index,
          text: row.label ? <bdi className={row.label_source === "lexical" ? "cut soft" : "cut"}><Marked text={row.label} query={words} /></bdi> : <Label text={null} />,
          aside: row.label?.toLowerCase().includes(words.toLowerCase()) || !row.peaks_on.length ? <span className="num dim">{density(row.density)}</span> : <span className="row"><span className="xs dim">peaks on</span>{row.peaks_on.slice(0, 1).map((token) => <TokenChip key={token} text={token} />)}</span>,
          run: leave(() => void navigate({ to: "/features/$extraction/$index", params: { extraction: extraction ?? "", index: String(row.index) } })),
        })),
      });
    }
    if (here !== null && extraction && kind !== "@" && kind !== "#") {
      const options: (Option & { name: string })[] = [
        { name: "steer with", icon: "steer", text: `Steer with ${here}`, aside: <kbd>x</kbd>, run: leave(() => { setTray(extraction, [...new Set([...tray(extraction), here])]); void navigate({ to: "/steer/$extraction", params: { extraction } }); }) },
        ...(shown ? [{ name: "star", icon: "star" as const, text: shown.starred ? `Remove star of ${here}` : `Star ${here}`, aside: <kbd>s</kbd>, run: leave(() => void star(client, extraction, here, !shown.starred)) },
          { name: "copy examples json", icon: "copy" as const, text: `Copy its ${int(shown.examples.length)} examples as JSON lines`, run: leave(() => void copy(shown.examples.map((one) => JSON.stringify(one)).join("\n"), "Examples copied")) }] : []),
      ];
      const kept = options.filter((option) => match(option.name + here));
      if (kept.length) made.push({ title: `With ${here}`, options: kept });
    }
    const pages: [IconName, string, () => void][] = [
      ["home", "Home", to("/")],
      ["grid", "Features", scoped("features")],
      ["fire", "Fire", scoped("fire")],
      ["steer", "Steer", scoped("steer")],
      ["data", "Datasets", to("/datasets")],
      ["model", "Models", to("/models")],
      ["sae", "SAEs", to("/saes")],
      ["train", "Train an SAE", to("/train")],
      ["extract", "Extract features", to("/extract")],
      ["jobs", "Jobs", to("/jobs")],
      ["cog", "Settings", to("/settings")],
    ];
    const commands: [IconName, string, () => void][] = [
      ["sun", "Dark or light", leave(toggleTheme)],
      ["link", "Copy link to this page", leave(() => void copy(location.href, "Link copied"))],
      ["note", "Keys on this page", () => setOverlay("keys")],
    ];
    const line = ([icon, name, run]: [IconName, string, () => void]): Option => ({ icon, text: <Marked text={name} query={words} />, run });
    if (kind === "@" || (kind === "" && words)) {
      const things: Option[] = [
        ...extractions.filter((one) => match(one.name)).map((one): Option => ({ icon: "extract", text: <Marked text={one.name} query={words} />, aside: <span className="xs dim">extraction</span>, run: to(`/features/${encodeURIComponent(one.name)}`) })),
        ...named(saes).filter(match).map((name): Option => ({ icon: "sae", text: <Marked text={name} query={words} />, aside: <span className="xs dim">SAE</span>, run: to(`/saes/${encodeURIComponent(name)}`) })),
        ...(kind === "" ? [...named(datasets).filter(match).map((name): Option => ({ icon: "data", text: <Marked text={name} query={words} />, aside: <span className="xs dim">dataset</span>, run: to(`/datasets/${encodeURIComponent(name)}`) })),
          ...named(models).filter(match).map((name): Option => ({ icon: "model", text: <Marked text={name} query={words} />, aside: <span className="xs dim">model</span>, run: to(`/models/${encodeURIComponent(name)}`) }))] : []),
      ];
      if (things.length) made.push({ title: kind === "@" ? "SAEs and extractions" : "In this home", aside: things.length > MOST ? plural(things.length, "match", "matches") : "", options: things.slice(0, kind === "@" ? 20 : MOST) });
    }
    if (kind === "" || kind === ">") {
      const kept = [...(kind === ">" ? [] : pages), ...commands].filter(([, name]) => match(name)).map(line);
      if (kept.length) made.push({ title: kind === ">" ? "Commands" : "Pages", options: words ? kept.slice(0, MOST) : kept });
    }
    if (kind === "" && words && extraction) made.push({ title: "Text", options: [{ icon: "fire", text: <>Fire “<Marked text={words} query={words} />” as text</>, aside: <span className="xs dim">Fire</span>, run: leave(() => void navigate({ to: "/fire/$extraction", params: { extraction }, search: { text: words } as never })) }] });
    return made;
  }, [text, found.data, wantsFeatures, here, shown, extractions, datasets, models, saes, extraction]);

  const all = groups.flatMap((group) => group.options);
  const { at, setAt, onKeyDown } = useOptions(all.length, (place) => all[place]?.run());
  let place = -1;
  return (
    <Dialog open onClose={onClose} title="Search or jump to" bare className="palette">
      <div className="palette-in">
        <Icon name="find" />
        <input role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={all.length ? `palette-${at}` : undefined} aria-label="Search or jump to" placeholder="Feature, page, SAE, dataset" value={text} spellCheck={false} autoFocus onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={onKeyDown} />
        {extraction && <span className="tag">in {extraction}</span>}
        <kbd>Esc</kbd>
      </div>
      <div id="palette-list" role="listbox" aria-label="Results" className="palette-list">
        {groups.map((group) => (
          <div key={group.title} role="group" aria-label={group.title}>
            <div className="grp" aria-hidden="true">{group.title}<span>{group.aside}</span></div>
            {group.options.map((option) => {
              place += 1;
              const mine = place;
              return (
                <div
                  key={mine}
                  id={`palette-${mine}`}
                  role="option"
                  aria-selected={mine === at}
                  className={option.index === undefined ? "it p" : "it"}
                  ref={mine === at ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
                  onPointerMove={() => mine !== at && setAt(mine)}
                  onClick={option.run}
                >
                  <Icon name={option.icon} size={14} />
                  {option.index !== undefined && <span className="num dim">{option.index}</span>}
                  <span className="cut">{option.text}</span>
                  <Fragment>{option.aside ?? <span />}</Fragment>
                </div>
              );
            })}
          </div>
        ))}
        {!all.length && <p className="dim sm none">No feature, page or command for “{words}”.</p>}
      </div>
      <div className="palette-foot" aria-hidden="true">
        <span><kbd>↑</kbd> <kbd>↓</kbd> move</span>
        <span><kbd>↵</kbd> open</span>
        <span className="grow" />
        <span><kbd>#</kbd> index</span>
        <span><kbd>&gt;</kbd> command</span>
        <span><kbd>@</kbd> SAE or extraction</span>
      </div>
    </Dialog>
  );
}
