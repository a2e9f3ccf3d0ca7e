import { useCallback, useEffect, useImperativeHandle, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent, type Ref } from "react";
import { figures, int } from "../../lib/format";
import { useShownTheme } from "../../lib/theme";
import { useSize } from "../../lib/width";
import { Select } from "../../parts/controls";
import { Ramp } from "../../parts/tokens";
import { Cloud } from "./cloud";
import { Finder } from "./finder";
import { extent, isDead, ticks, type Box, type Points, type Tint } from "./points";

const TOP = 40;
const BOTTOM = 34;
const LEFT = 46;
const RIGHT = 14;
const STRIP = 46;
const BINS = 60;

export interface ScatterHandle {
  brushWithKeys: () => void;
  resetZoom: () => void;
}

interface Props {
  points: Points;
  /** Which features match the other filters; null for all. */
  held: Uint8Array | null;
  brush: Box | null;
  onBrush: (brush: Box | null) => void;
  /** The feature that the table has chosen. */
  chosen: number | null;
  onHover: (feature: number | null) => void;
  onOpen: (feature: number) => void;
  tint: Tint;
  onTint: (tint: Tint) => void;
  ref: Ref<ScatterHandle>;
}

type Drag =
  | { kind: "new"; x: number; y: number; keep: Box | null }
  | { kind: "move"; x: number; y: number; box: Box }
  | { kind: "resize"; box: Box; left: boolean; low: boolean }
  | { kind: "pan"; x: number; y: number; view: Box };

/** Density against largest activation, one point a feature: hover to look, drag to filter, wheel to zoom. */
export function Scatter({ points, held, brush, onBrush, chosen, onHover, onOpen, tint, onTint, ref }: Props) {
  const [place, size] = useSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const surface = useRef<SVGSVGElement>(null);
  const cloud = useRef<Cloud | null>(null);
  const theme = useShownTheme();
  const whole = useMemo(() => extent(points), [points]);
  const finder = useMemo(() => new Finder(points, whole), [points, whole]);
  const [view, setView] = useState<Box>(whole);
  const [drawn, setDrawn] = useState<Box | null>(brush);
  const [hot, setHot] = useState<number | null>(null);
  const drag = useRef<Drag | null>(null);
  const { width, height } = size;
  const plot = useMemo(
    () => ({ left: LEFT + STRIP, top: TOP, right: Math.max(LEFT + STRIP + 10, width - RIGHT), bottom: Math.max(TOP + 10, height - BOTTOM), strip: [LEFT + 2, LEFT + 16] as [number, number] }),
    [width, height],
  );

  useEffect(() => setDrawn(brush), [brush]);
  useEffect(() => setView(whole), [whole]);

  useEffect(() => {
    if (!canvas.current) return;
    const made = new Cloud(canvas.current);
    cloud.current = made;
    (canvas.current as HTMLCanvasElement & { cloud?: Cloud }).cloud = made;
    return () => {
      cloud.current = null;
      made.dispose();
    };
  }, []);
  useEffect(() => cloud.current?.setPoints(points), [points]);
  useEffect(() => cloud.current?.setTint(points, tint), [points, tint]);
  useEffect(() => cloud.current?.setHeld(held), [points, held]);
  useEffect(() => cloud.current?.readColours(), [theme]);
  useEffect(() => {
    const element = canvas.current;
    if (!element || !cloud.current) return;
    const scale = Math.min(2, devicePixelRatio || 1);
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (element.width !== w || element.height !== h) {
      element.width = w;
      element.height = h;
    }
    Object.assign(cloud.current, { view, box: drawn, frame: plot });
    cloud.current.draw();
  }, [view, drawn, plot, width, height]);

  const toX = useCallback((x: number) => plot.left + ((x - view.x0) / (view.x1 - view.x0)) * (plot.right - plot.left), [plot, view]);
  const toY = useCallback((y: number) => plot.bottom - ((y - view.y0) / (view.y1 - view.y0)) * (plot.bottom - plot.top), [plot, view]);
  const fromX = (px: number) => view.x0 + ((px - plot.left) / (plot.right - plot.left)) * (view.x1 - view.x0);
  const fromY = (py: number) => view.y0 + ((plot.bottom - py) / (plot.bottom - plot.top)) * (view.y1 - view.y0);

  const spot = (event: { clientX: number; clientY: number }): [number, number] => {
    const box = surface.current?.getBoundingClientRect();
    return [event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0)];
  };

  const look = (px: number, py: number) => {
    const perX = (view.x1 - view.x0) / (plot.right - plot.left);
    const perY = (view.y1 - view.y0) / (plot.bottom - plot.top);
    const inside = (at: number) => !held || held[at] === 1;
    const found = px < plot.left ? null : finder.nearest(fromX(px), fromY(py), 9 * perX, 9 * perY, inside);
    if (found !== hot) {
      setHot(found);
      onHover(found);
    }
  };

  const down = (event: PointerEvent<SVGSVGElement>) => {
    if (event.button > 1) return;
    const [px, py] = spot(event);
    event.currentTarget.setPointerCapture(event.pointerId);
    const [x, y] = [fromX(px), fromY(py)];
    const handle = (event.target as Element).getAttribute("data-corner");
    if (event.button === 1 || event.altKey) drag.current = { kind: "pan", x: px, y: py, view };
    else if (handle && drawn) drag.current = { kind: "resize", box: drawn, left: handle.includes("l"), low: handle.includes("b") };
    else if (drawn && !event.shiftKey && x > drawn.x0 && x < drawn.x1 && y > drawn.y0 && y < drawn.y1) drag.current = { kind: "move", x, y, box: drawn };
    else drag.current = { kind: "new", x, y, keep: event.shiftKey ? drawn : null };
  };

  const move = (event: PointerEvent<SVGSVGElement>) => {
    const [px, py] = spot(event);
    const now = drag.current;
    if (!now) {
      look(px, py);
      return;
    }
    const [x, y] = [fromX(px), fromY(py)];
    if (now.kind === "pan") {
      const dx = ((now.x - px) / (plot.right - plot.left)) * (now.view.x1 - now.view.x0);
      const dy = ((py - now.y) / (plot.bottom - plot.top)) * (now.view.y1 - now.view.y0);
      setView({ x0: now.view.x0 + dx, x1: now.view.x1 + dx, y0: now.view.y0 + dy, y1: now.view.y1 + dy });
    } else if (now.kind === "new") {
      const box = { x0: Math.min(x, now.x), x1: Math.max(x, now.x), y0: Math.min(y, now.y), y1: Math.max(y, now.y) };
      setDrawn(now.keep ? { x0: Math.min(box.x0, now.keep.x0), x1: Math.max(box.x1, now.keep.x1), y0: Math.min(box.y0, now.keep.y0), y1: Math.max(box.y1, now.keep.y1) } : box);
    } else if (now.kind === "move") {
      const [dx, dy] = [x - now.x, y - now.y];
      setDrawn({ x0: now.box.x0 + dx, x1: now.box.x1 + dx, y0: now.box.y0 + dy, y1: now.box.y1 + dy });
    } else {
      const next = { ...now.box };
      if (now.left) next.x0 = Math.min(x, now.box.x1);
      else next.x1 = Math.max(x, now.box.x0);
      if (now.low) next.y0 = Math.min(y, now.box.y1);
      else next.y1 = Math.max(y, now.box.y0);
      setDrawn(next);
    }
  };

  const up = (event: PointerEvent<SVGSVGElement>) => {
    const now = drag.current;
    drag.current = null;
    if (!now || now.kind === "pan") return;
    const [px, py] = spot(event);
    if (now.kind === "new" && Math.hypot(px - toX(now.x), py - toY(now.y)) < 4) {
      setDrawn(brush);
      if (hot !== null) onOpen(hot);
      return;
    }
    if (drawn) onBrush(drawn);
  };

  useEffect(() => {
    const element = surface.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const u = Math.min(1, Math.max(0, (event.clientX - box.left - plot.left) / (plot.right - plot.left)));
      const v = Math.min(1, Math.max(0, (plot.bottom - (event.clientY - box.top)) / (plot.bottom - plot.top)));
      setView((old) => {
        const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004);
        const [w, h] = [(old.x1 - old.x0) * factor, (old.y1 - old.y0) * factor];
        if (w > 3 * (whole.x1 - whole.x0) || w < 0.02) return old;
        const [x, y] = [old.x0 + u * (old.x1 - old.x0), old.y0 + v * (old.y1 - old.y0)];
        return { x0: x - u * w, x1: x + (1 - u) * w, y0: y - v * h, y1: y + (1 - v) * h };
      });
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [plot, whole]);

  const keys = (event: KeyboardEvent<SVGSVGElement>) => {
    if (event.key === "Escape") {
      event.preventDefault();
      setDrawn(null);
      onBrush(null);
      surface.current?.blur();
      return;
    }
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!arrow) return;
    event.preventDefault();
    event.stopPropagation();
    const box = drawn ?? middle(view);
    const dx = arrow[0]! * 0.02 * (view.x1 - view.x0);
    const dy = arrow[1]! * 0.02 * (view.y1 - view.y0);
    const next = event.shiftKey
      ? { ...box, x1: Math.max(box.x0 + 0.01, box.x1 + dx), y1: Math.max(box.y0 + 0.01, box.y1 + dy) }
      : { x0: box.x0 + dx, x1: box.x1 + dx, y0: box.y0 + dy, y1: box.y1 + dy };
    setDrawn(next);
    clearTimeout(settle.current);
    settle.current = setTimeout(() => onBrush(next), 150);
  };
  const settle = useRef<ReturnType<typeof setTimeout>>(undefined);

  useImperativeHandle(ref, () => ({
    brushWithKeys: () => {
      surface.current?.focus();
      if (!drawn) {
        const box = middle(view);
        setDrawn(box);
        onBrush(box);
      }
    },
    resetZoom: () => setView(whole),
  }));

  const bars = useMemo(() => histogram(points, held, drawn, view), [points, held, drawn, view]);
  const dead = useMemo(() => {
    let count = 0;
    for (let at = 0; at < points.density.length; at++) if (isDead(points, at)) count++;
    return count;
  }, [points]);
  const shown = hot ?? chosen;
  const ring = shown !== null && shown < points.density.length && !isDead(points, shown) ? { x: toX(points.x[shown]!), y: toY(points.y[shown]!) } : null;
  const clip = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
  const rect = drawn && {
    x: clip(toX(drawn.x0), plot.left, plot.right),
    y: clip(toY(drawn.y1), plot.top, plot.bottom),
    w: clip(toX(drawn.x1), plot.left, plot.right) - clip(toX(drawn.x0), plot.left, plot.right),
    h: clip(toY(drawn.y0), plot.top, plot.bottom) - clip(toY(drawn.y1), plot.top, plot.bottom),
  };
  // The ring moves with every key; what does not move with it is drawn once.
  const [grid, axes] = useMemo(() => {
    const ticksX = ticks(view.x0, view.x1, Math.max(2, Math.floor((plot.right - plot.left) / 90))).map((value) => [value, toX(Math.log10(value))] as const);
    const ticksY = ticks(view.y0, view.y1, 8).map((value) => [value, toY(Math.log10(value))] as const);
    return [
      <svg key="grid" aria-hidden="true">
        {ticksX.map(([value, x]) => <line key={`x${value}`} x1={x} x2={x} y1={plot.top} y2={plot.bottom} className="grid" />)}
        {ticksY.map(([value, y]) => <line key={`y${value}`} x1={LEFT} x2={plot.right} y1={y} y2={y} className="grid" />)}
      </svg>,
      <g key="axes">
        {ticksX.map(([value, x]) => <text key={`x${value}`} x={x} y={plot.bottom + 15} textAnchor="middle">{axisPercent(value)}</text>)}
        {ticksY.map(([value, y]) => <text key={`y${value}`} x={LEFT - 8} y={y + 4} textAnchor="end">{figures(value)}</text>)}
        <text x={12} y={TOP - 12}>Max activation</text>
        <text x={plot.right} y={height - 4} textAnchor="end">Density, share of tokens</text>
        <text x={LEFT + 9} y={plot.bottom + 15} textAnchor="middle">dead</text>
        <text x={LEFT + 9} y={height - 4} textAnchor="middle">{int(dead)}</text>
      </g>,
    ];
  }, [view, plot, toX, toY, height, dead]);
  const columns = useMemo(() => {
    const wide = (plot.right - plot.left) / BINS;
    const column = (at: number, tall: number, fill: string) => tall > 0 && <rect x={plot.left + at * wide + 0.5} y={TOP - 2 - 26 * tall} width={Math.max(1, wide - 1)} height={26 * tall} fill={fill} />;
    return bars.map(([all, some], at) => (
      <g key={at}>
        {column(at, all, "var(--line-strong)")}
        {(drawn || held) && column(at, some, "var(--accent)")}
      </g>
    ));
  }, [bars, plot, drawn, held]);

  return (
    <div className="plot" ref={place}>
      {grid}
      <canvas ref={canvas} />
      <svg
        ref={surface}
        role="application"
        tabIndex={0}
        aria-label={`Density against largest activation, ${int(points.density.length)} features. Arrows move the brush, Shift and arrows resize it, Escape clears it.`}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerLeave={() => {
          if (drag.current) return;
          setHot(null);
          onHover(null);
        }}
        onDoubleClick={() => setView(whole)}
        onKeyDown={keys}
      >
        {axes}
        {columns}
        {rect && rect.w > 0 && rect.h > 0 && (
          <g className="brush">
            <rect x={rect.x} y={rect.y} width={rect.w} height={rect.h} rx={2} className="area" />
            {(["lt", "rt", "lb", "rb"] as const).map((corner) => (
              <rect key={corner} data-corner={corner} className={`corner ${corner}`} x={rect.x + (corner[0] === "r" ? rect.w : 0) - 5} y={rect.y + (corner[1] === "b" ? rect.h : 0) - 5} width={10} height={10} rx={2} />
            ))}
          </g>
        )}
        {ring && ring.x >= plot.left && ring.x <= plot.right && ring.y >= plot.top && ring.y <= plot.bottom && <circle cx={ring.x} cy={ring.y} r={6} fill="none" stroke="var(--fg)" strokeWidth={1.5} />}
      </svg>
      <div className="tools">
        {tint === "score" && (
          <>
            <span className="xs dim">0.5</span>
            <Ramp kind="score" steps={5} />
            <span className="xs dim">1.0</span>
          </>
        )}
        <Select
          label="Colour points by"
          className="short"
          value={tint}
          onChange={onTint}
          options={[
            { value: "score", text: "Label score" },
            { value: "mean", text: "Mean / max" },
            { value: "starred", text: "Starred" },
            { value: "none", text: "One colour" },
          ]}
        />
      </div>
    </div>
  );
}

const axisPercent = (value: number) => `${Number((100 * value).toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 8 })} %`;

const middle = (view: Box): Box => ({
  x0: view.x0 + 0.4 * (view.x1 - view.x0),
  x1: view.x0 + 0.6 * (view.x1 - view.x0),
  y0: view.y0 + 0.4 * (view.y1 - view.y0),
  y1: view.y0 + 0.6 * (view.y1 - view.y0),
});

/** Living features by density over the view: shares of the largest bin, of all and of those selected. */
function histogram(points: Points, held: Uint8Array | null, box: Box | null, view: Box): [number, number][] {
  const all = new Float64Array(BINS);
  const some = new Float64Array(BINS);
  const scale = BINS / (view.x1 - view.x0);
  for (let at = 0; at < points.x.length; at++) {
    if (isDead(points, at)) continue;
    const x = points.x[at]!;
    const bin = Math.floor((x - view.x0) * scale);
    if (bin < 0 || bin >= BINS) continue;
    all[bin]! += 1;
    if (held && !held[at]) continue;
    if (box) {
      const y = points.y[at]!;
      if (x < box.x0 || x > box.x1 || y < box.y0 || y > box.y1) continue;
    }
    some[bin]! += 1;
  }
  const top = Math.max(1, ...all);
  return Array.from(all, (count, bin) => [count / top, some[bin]! / top]);
}

