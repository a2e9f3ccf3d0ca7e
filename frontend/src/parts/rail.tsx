import { Dialog } from "@base-ui/react/dialog";
import { Link, useNavigate, useParams, useRouterState } from "@tanstack/react-router";
import { useEffect, useSyncExternalStore } from "react";
import { kindOf, share, useRunningJobs } from "../api/jobs";
import { useDatasets, useExtractions, useModels, useSaes } from "../api/queries";
import { int, percent, seconds } from "../lib/format";
import { Bar } from "./controls";
import { Icon, Logo, type IconName } from "./icons";
import { Menu } from "./menu";

let sheet = false;
const listeners = new Set<() => void>();
const setSheet = (open: boolean) => {
  sheet = open;
  for (const listener of listeners) listener();
};
export const openRail = () => setSheet(true);

const KEPT = "saescope.extraction";

/** The extraction that Features, Fire and Steer speak of: the one in the address, else the last looked at, else the newest. */
export function useCurrentExtraction(): string | null {
  const { extraction } = useParams({ strict: false }) as { extraction?: string };
  const known = useExtractions().data;
  useEffect(() => {
    if (extraction) localStorage.setItem(KEPT, extraction);
  }, [extraction]);
  if (extraction) return extraction;
  const kept = localStorage.getItem(KEPT);
  if (kept && known?.some((one) => one.name === kept)) return kept;
  return known?.at(-1)?.name ?? null;
}

interface Item {
  icon: IconName;
  text: string;
  to: string;
  count?: number | undefined;
}

function Items({ title, items }: { title?: string; items: Item[] }) {
  const path = useRouterState({ select: (state) => state.location.pathname });
  return (
    <div>
      {title && <h3>{title}</h3>}
      {items.map(({ icon, text, to, count }) => {
        const root = `/${to.split("/")[1] ?? ""}`;
        const here = to === "/" ? path === "/" : path === root || path.startsWith(`${root}/`);
        return (
          <Link key={text} to={to} aria-current={here ? "page" : undefined} title={text} onClick={() => setSheet(false)}>
            <Icon name={icon} />
            <span className="text">{text}</span>
            {count !== undefined && <span className="num">{int(count)}</span>}
          </Link>
        );
      })}
    </div>
  );
}

function Scope() {
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const current = useCurrentExtraction();
  const extractions = useExtractions().data ?? [];
  const one = extractions.find((extraction) => extraction.name === current);
  if (!extractions.length) return null;
  const section = /^\/(features|fire|steer)/.exec(path)?.[1] ?? "features";
  const choose = (name: string) => {
    localStorage.setItem(KEPT, name);
    setSheet(false);
    void navigate({ to: `/${section}/${encodeURIComponent(name)}` });
  };
  return (
    <Menu
      label="Extractions"
      align="start"
      trigger={
        <button type="button" className="scope" title={one ? `${one.name}\n${one.sae} · ${one.hookpoint} · ${int(one.features)} features` : ""}>
          <span className="sr">Extraction</span>
          <b className="cut">{current ?? "no extraction"}</b>
          <span className="cut">{one ? `${one.hookpoint} · ${int(one.features)}` : "choose one"}</span>
          <Icon name="down" size={14} />
        </button>
      }
      choices={[...extractions].reverse().map((extraction) => ({
        text: extraction.name,
        aside: int(extraction.features),
        checked: extraction.name === current,
        run: () => choose(extraction.name),
      }))}
    />
  );
}

function Rail() {
  const extraction = useCurrentExtraction();
  const here = { datasets: useDatasets().data?.length, models: useModels().data?.length, saes: useSaes().data?.length };
  const one = useExtractions().data?.find((each) => each.name === extraction);
  const [job] = useRunningJobs().data ?? [];
  const scoped = (page: string) => (extraction ? `/${page}/${encodeURIComponent(extraction)}` : `/${page}`);
  return (
    <nav className="rail" aria-label="Main">
      <Link className="brand" to="/" onClick={() => setSheet(false)}>
        <Logo />
        <span className="text">saescope</span>
      </Link>
      <Scope />
      <div className="nav">
        <Items items={[{ icon: "home", text: "Home", to: "/" }]} />
        <Items
          title="Read"
          items={[
            { icon: "grid", text: "Features", to: scoped("features"), count: one?.features },
            { icon: "fire", text: "Fire", to: scoped("fire") },
            { icon: "steer", text: "Steer", to: scoped("steer") },
          ]}
        />
        <Items
          title="Make"
          items={[
            { icon: "data", text: "Datasets", to: "/datasets", count: here.datasets },
            { icon: "model", text: "Models", to: "/models", count: here.models },
            { icon: "sae", text: "SAEs", to: "/saes", count: here.saes },
            { icon: "train", text: "Train", to: "/train" },
            { icon: "extract", text: "Extract", to: "/extract" },
          ]}
        />
        <Items
          title="Run"
          items={[
            { icon: "jobs", text: "Jobs", to: "/jobs" },
            { icon: "cog", text: "Settings", to: "/settings" },
          ]}
        />
      </div>
      {job && (
        <Link className="railjob" to="/jobs/$id" params={{ id: job.id }} onClick={() => setSheet(false)}>
          <div className="row">
            <span className="xs cut grow">{kindOf(job)} {job.name}</span>
            <span className="num">{share(job) === null ? "" : percent(share(job), 0)}</span>
          </div>
          <Bar share={share(job)} label={`${kindOf(job)} ${job.name}`} />
          <div className="xs dim cut">{job.progress?.seconds_left == null ? (job.progress?.phase ?? "starting") : `${seconds(job.progress.seconds_left)} left · ${job.progress.phase}`}</div>
        </Link>
      )}
    </nav>
  );
}

/** The rail at the left; under 720 px a sheet behind the menu button. */
export function MainRail() {
  const open = useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, () => sheet);
  return (
    <>
      <Rail />
      <Dialog.Root open={open} onOpenChange={setSheet}>
        <Dialog.Portal>
          <Dialog.Backdrop className="scrim" />
          <Dialog.Popup data-modal className="sheet-rail">
            <Dialog.Title className="sr">Menu</Dialog.Title>
            <Rail />
          </Dialog.Popup>
        </Dialog.Portal>
      </Dialog.Root>
    </>
  );
}
