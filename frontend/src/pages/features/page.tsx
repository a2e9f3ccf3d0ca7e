import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { star } from "../../api/actions";
import { asked, featureCount, held, path, points, type FeatureRow, type Query } from "../../api/features";
import { ranges } from "../../api/labels";
import { useExtractions } from "../../api/queries";
import { int, plural } from "../../lib/format";
import { useSettled, useStable, useWords } from "../../lib/hooks";
import { useKeys } from "../../lib/keys";
import { toggleTray } from "../../lib/tray";
import { clauses, fieldName, joined, spoken } from "../../lib/where";
import { useNarrow } from "../../lib/width";
import { Button, Chip, IconButton, Kbd } from "../../parts/controls";
import { Icon } from "../../parts/icons";
import { Labellings } from "../../parts/labelling";
import { Menu } from "../../parts/menu";
import { Page } from "../../parts/page";
import { Relabel } from "../../parts/relabel";
import { Empty, Failure, Loading } from "../../parts/states";
import { copy, toast } from "../../parts/toast";
import type { Box, Tint } from "./points";
import { COLUMNS } from "./columns";
import { AddFilter, NoMatch, type Part } from "./filters";
import { Peek } from "./peek";
import { brushClauses, brushOf, brushText, queryOf, sortOf } from "./query";
import { Scatter, type ScatterHandle } from "./scatter";
import { FeatureTable, type Layout } from "./table";
import "./features.css";

export function Features() {
  const { extraction } = useParams({ strict: false }) as { extraction: string };
  const [words, setWords] = useWords();
  const navigate = useNavigate();
  const client = useQueryClient();
  const narrow = useNarrow();
  const extractions = useExtractions();
  const one = extractions.data?.find((each) => each.name === extraction);

  const [typedText, setTyped] = useState(words.q ?? "");
  const search = useSettled(typedText, 120);
  useEffect(() => {
    if ((words.q ?? "") !== search) setWords({ q: search || undefined });
  }, [search]);
  const fromAddress = words.q ?? "";
  useEffect(() => {
    if (fromAddress !== search) setTyped(fromAddress);
  }, [fromAddress]);

  const brush = useMemo(() => brushOf(words.brush), [words.brush]);
  const query = useMemo(() => queryOf(words), [words.q, words.where, words.brush, words.sort]);
  const counted = useQuery(featureCount(extraction, { where: query.where, search: query.search }));
  const cloud = useQuery(points(extraction));
  const others = useMemo<Query>(() => ({ where: words.where, search: words.q }), [words.where, words.q]);
  const mask = useQuery(held(extraction, others));
  const matching = counted.data?.matching;
  const total = counted.data?.total ?? one?.features;

  const [at, setAt] = useState(0);
  const [row, setRow] = useState<FeatureRow | undefined>();
  const [hovered, setHovered] = useState<number | null>(null);
  useEffect(() => setAt(0), [query]);
  const [mapped, setMapped] = useState(false);
  useEffect(() => {
    if (row || matching === 0) requestAnimationFrame(() => setTimeout(() => setMapped(true))); // rows are painted first
  }, [row, matching]);
  const scatter = useRef<ScatterHandle>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const [adding, setAdding] = useState(false);

  const sort = useMemo(() => sortOf(words.sort), [words.sort]);
  const order = useMemo(() => {
    const asked = words.cols?.split(",").map((text) => text.split(":")[0]!).filter((id) => COLUMNS.some((column) => column.id === id));
    return asked?.length ? asked : null;
  }, [words.cols]);
  const width = useWindowWidth();
  const shownOrder = useMemo(() => (narrow ? ["index", "label", "density"] : (order ?? COLUMNS.filter((column) => !column.hideBelow || width >= column.hideBelow).map((column) => column.id))), [order, width, narrow]);
  const widths = useMemo(() => Object.fromEntries((words.cols ?? "").split(",").map((text) => text.split(":")).filter(([, size]) => Number(size) > 0).map(([id, size]) => [id!, Number(size)])), [words.cols]);
  const layout = useMemo<Layout>(() => ({ order: shownOrder, widths }), [shownOrder, widths]);
  const setLayout = useStable((next: Layout) => {
    const text = next.order.map((id) => (next.widths[id] ? `${id}:${Math.round(next.widths[id]!)}` : id)).join(",");
    setWords({ cols: text });
  });

  const keep = { q: words.q, where: words.where, brush: words.brush, sort: words.sort };
  const open = useStable((feature: number, aside = false) => {
    const address = `/features/${encodeURIComponent(extraction)}/${feature}`;
    if (aside) window.open(address + location.search, "_blank");
    else void navigate({ to: "/features/$extraction/$index", params: { extraction, index: String(feature) }, search: keep });
  });
  const toggleStar = useStable((target: FeatureRow) => void star(client, extraction, target.index, !target.starred));
  const addToSteer = useStable((target: number) => {
    const added = toggleTray(extraction, target);
    toast(added ? `${target} added to Steer` : `${target} taken out of Steer`, () => toggleTray(extraction, target));
  });
  const choose = useStable((place: number, found: FeatureRow | undefined) => {
    setAt(place);
    setRow(found);
  });
  const step = (by: number) => setAt((old) => Math.max(0, Math.min((matching ?? 1) - 1, old + by)));
  const sortBy = useStable((field: string, up: boolean, second: boolean) => {
    const old = sort.find((key) => key.field === field);
    const next = { field, down: old ? !old.down : !up };
    const list = second ? [...sort.filter((key) => key.field !== field).slice(0, 1), next] : [next];
    setWords({ sort: list.map((key) => (key.down ? "-" : "") + key.field).join(",") });
  });
  const setBrush = useStable((box: Box | null) => setWords({ brush: brushText(box) }));
  const setWhere = (parts: string[]) => setWords({ where: joined(parts) });
  const conditions = clauses(words.where);
  const [labelling, setLabelling] = useState<string | null>(null);
  const label = useStable(async () => {
    if (!query.where && !query.search) return setLabelling("all");
    const { queryKey, queryFn } = held(extraction, query);
    setLabelling(ranges(await client.fetchQuery({ queryKey, queryFn }), total ?? 0));
  });
  const exportAs = (format: string) => `/api${path(extraction)}/export${asked(query, { format })}`;

  useKeys("Features", [
    { keys: ["/"], label: "Search labels and tokens", run: () => searchBox.current?.focus() },
    { keys: ["j", "ArrowDown"], label: "Next feature", run: () => step(1) },
    { keys: ["k", "ArrowUp"], label: "Previous feature", run: () => step(-1) },
    { keys: ["PageDown"], label: "A page further", run: () => step(20) },
    { keys: ["PageUp"], label: "A page back", run: () => step(-20) },
    { keys: ["Home"], label: "First", run: () => step(-Infinity) },
    { keys: ["End"], label: "Last", run: () => step(Infinity) },
    { keys: ["Enter"], label: "Open", run: (event) => { if (row && !(event.target instanceof HTMLButtonElement) && !(event.target instanceof HTMLAnchorElement)) open(row.index); else if (event.target instanceof HTMLElement) event.target.click(); } },
    { keys: ["s"], label: "Star", run: () => row && toggleStar(row) },
    { keys: ["x"], label: "Add to Steer", run: () => row && addToSteer(row.index) },
    { keys: ["f"], label: "Add a filter", run: () => setAdding(true) },
    { keys: ["r"], label: "Label these features anew", run: () => matching && void label() },
    { keys: ["b"], label: "Brush by arrows", run: () => scatter.current?.brushWithKeys() },
    { keys: ["z"], label: "Reset the plot’s zoom", run: () => scatter.current?.resetZoom() },
    { keys: ["Escape"], label: "Clear the brush", run: () => setBrush(null) },
  ]);

  const parts: Part[] = [
    ...(words.q ? [{ name: "search", value: `“${words.q}”`, query: queryOf({ ...words, q: undefined }), remove: () => setTyped("") }] : []),
    ...(brush ? [{ name: "brush", value: "", query: queryOf({ ...words, brush: undefined }), remove: () => setBrush(null) }] : []),
    ...conditions.map((clause, place) => {
      const rest = conditions.filter((_, k) => k !== place);
      const [name, value] = spoken(clause);
      return { name, value, query: queryOf({ ...words, where: joined(rest) }), remove: () => setWhere(rest) };
    }),
  ];
  const clear = () => {
    setTyped("");
    setWords({ q: undefined, brush: undefined, where: undefined });
  };

  if (extractions.isSuccess && !one)
    return (
      <Page title="Features">
        <Empty title={`There is no extraction “${extraction}”`} actions={<Button onClick={() => void navigate({ to: "/features" })}>Show what there is</Button>}>It may have been removed or renamed.</Empty>
      </Page>
    );
  return (
    <Page
      crumbs={[{ text: extraction }]}
      title="Features"
      className="features"
      actions={
        <>
          <Menu
            label="Columns"
            trigger={<IconButton icon="columns" label="Columns" className="wide" />}
            choices={[
              ...COLUMNS.map((column) => ({
                text: column.title,
                checked: layout.order.includes(column.id),
                run: () => setLayout({ ...layout, order: layout.order.includes(column.id) ? layout.order.filter((id) => id !== column.id) : COLUMNS.map((each) => each.id).filter((id) => id === column.id || layout.order.includes(id)) }),
              })),
              null,
              { text: "As at first", run: () => setWords({ cols: undefined }) },
            ]}
          />
          {narrow ? <IconButton icon="label" label="Label these features" disabled={!matching} onClick={() => void label()} /> : <Button look="ghost" icon="label" disabled={!matching} onClick={() => void label()}>Label {matching === undefined || matching === total ? "all" : int(matching)}</Button>}
          <Menu
            label="Export"
            trigger={<Button look="ghost" icon="export">Export<Icon name="down" size={12} /></Button>}
            choices={[
              matching === undefined ? "Counting…" : `${plural(matching, "feature")}, as filtered and sorted`,
              { text: "CSV", href: exportAs("csv") },
              { text: "Parquet", href: exportAs("parquet") },
              { text: "JSON lines", href: exportAs("jsonl") },
            ]}
          />
        </>
      }
    >
      <div className="filters" role="search">
        <label className="field searchbox">
          <Icon name="find" size={14} />
          <input
            ref={searchBox}
            value={typedText}
            placeholder="Label, token or index"
            aria-label="Search labels, top tokens and indices"
            spellCheck={false}
            onChange={(event) => setTyped(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") {
                setTyped("");
                event.currentTarget.blur();
              }
              if (event.key === "Enter") {
                event.preventDefault();
                const wanted = Number(typedText);
                if (/^#?\d+$/.test(typedText.trim()) && wanted < (total ?? 0)) open(Number(typedText.replace("#", "")));
                else event.currentTarget.blur();
              }
            }}
          />
          <Kbd>/</Kbd>
        </label>
        <div className="chiprow">
          {brush && brushClauses(brush).map(([name, value]) => <Chip key={name} name={name} chosen onRemove={() => setBrush(null)}>{value}</Chip>)}
          {conditions.map((clause, place) => {
            const [name, value] = spoken(clause);
            return <Chip key={clause} name={name} onRemove={() => setWhere(conditions.filter((_, k) => k !== place))}>{value}</Chip>;
          })}
          <AddFilter
            extraction={extraction}
            open={adding}
            onOpen={setAdding}
            onAdd={(clause) => setWhere([...conditions.filter((other) => other !== clause), clause])}
            trigger={<Button look="ghost" icon="plus" className="tight">Filter</Button>}
          />
        </div>
        <span className="grow" />
        <span className="sm soft count" aria-live="polite">
          {matching !== undefined && <><b className="num">{int(matching)}</b>{total !== undefined && matching !== total ? ` of ${int(total)}` : " features"}</>}
        </span>
      </div>
      <Labellings extraction={extraction} />
      <Relabel extraction={extraction} features={labelling ?? ""} count={matching ?? 0} open={labelling !== null} onClose={() => setLabelling(null)} />
      <Loading busy={counted.isFetching || counted.isPlaceholderData} label="Reading features" />
      {counted.isError ? (
        <Failure error={counted.error} retry={() => void counted.refetch()} actions={parts.length ? <Button look="primary" onClick={clear}>Remove the filters</Button> : undefined} />
      ) : (
        <>
          <div className="map">
            {cloud.data && mapped ? (
              <Scatter
                ref={scatter}
                points={cloud.data}
                held={others.where || others.search ? (mask.data ?? null) : null}
                brush={brush}
                onBrush={setBrush}
                chosen={row?.index ?? null}
                onHover={setHovered}
                onOpen={open}
                tint={(words.tint as Tint) || "score"}
                onTint={(tint) => setWords({ tint: tint === "score" ? undefined : tint })}
              />
            ) : (
              <div className="plot">{cloud.isError && <Failure error={cloud.error} title="The plot cannot be drawn" safe="The table below is complete." retry={() => void cloud.refetch()} />}</div>
            )}
            <Peek extraction={extraction} index={hovered ?? row?.index ?? null} />
          </div>
          <FeatureTable
            extraction={extraction}
            query={query}
            matching={matching}
            layout={layout}
            onLayout={setLayout}
            sort={sort}
            onSort={sortBy}
            at={at}
            onAt={choose}
            onOpen={(target, _, aside) => open(target.index, aside)}
            onStar={toggleStar}
            stale={counted.isPlaceholderData}
            empty={<NoMatch extraction={extraction} parts={parts} clear={clear} />}
          />
        </>
      )}
      <div className="foot">
        <span><Kbd>j</Kbd> <Kbd>k</Kbd> move</span>
        <span><Kbd>Enter</Kbd> open</span>
        <span><Kbd>s</Kbd> star</span>
        <span><Kbd>x</Kbd> add to Steer</span>
        <span><Kbd>f</Kbd> filter</span>
        <span><Kbd>b</Kbd> brush</span>
        <span><Kbd>?</Kbd> all keys</span>
        <span className="grow" />
        <span>{sort.length ? `sorted by ${sort.map((key) => fieldName(key.field)).join(", then ")}` : "by index"}</span>
        <button type="button" className="acc" onClick={() => void copy(location.href, "Link copied")}>copy link</button>
      </div>
    </Page>
  );
}

function useWindowWidth(): number {
  const [width, setWidth] = useState(innerWidth);
  useEffect(() => {
    const resized = () => setWidth(innerWidth);
    addEventListener("resize", resized);
    return () => removeEventListener("resize", resized);
  }, []);
  return width;
}
