import { token } from "../../lib/theme";
import { FlatPainter } from "./flat";
import { card, GlPainter } from "./gl";
import type { Cast, Colours, Frame, Painter, Scene } from "./painter";
import { isDead, type Box, type Points, type Tint } from "./points";

const hash = (n: number) => {
  const x = Math.sin(n * 12.9898) * 43758.5453;
  return x - Math.floor(x);
};

/** Every feature as a point on a canvas, drawn again only when something changed. */
export class Cloud {
  private readonly painter: Painter;
  private cast: Cast = { places: new Float32Array(), tints: new Float32Array(), held: new Uint8Array(), noise: new Float32Array() };
  private colours: Colours = { ramp: [], plain: [], grey: [] };
  private asked = 0;

  view: Box = { x0: -4, x1: 0, y0: 0, y1: 2 };
  box: Box | null = null;
  frame: Frame = { left: 0, top: 0, right: 1, bottom: 1, strip: [0, 1] };

  constructor(canvas: HTMLCanvasElement) {
    const gl = card(canvas);
    this.painter = gl ? new GlPainter(canvas, gl, () => this.draw()) : new FlatPainter(canvas);
    this.readColours();
  }

  /** How many features there are. */
  get size(): number {
    return this.cast.tints.length;
  }

  /** Read the theme's colours again. */
  readColours(): void {
    this.colours = {
      ramp: [0, 1, 2, 3, 4].flatMap((step) => rgb(token(`--score-${step}`))),
      plain: rgb(token("--accent")),
      grey: rgb(token("--fg-3")),
    };
    this.draw();
  }

  setPoints(points: Points): void {
    const count = points.density.length;
    const cast: Cast = { places: new Float32Array(2 * count), tints: new Float32Array(count).fill(-1), held: new Uint8Array(count).fill(1), noise: new Float32Array(count) };
    for (let at = 0; at < count; at++) {
      cast.places[2 * at] = points.x[at]!;
      cast.places[2 * at + 1] = points.y[at]!;
      cast.noise[at] = hash(at + 1);
    }
    this.cast = cast;
    for (const field of ["places", "tints", "held", "noise"] as const) this.painter.take(cast, field);
    this.draw();
  }

  setTint(points: Points, tint: Tint): void {
    const { tints } = this.cast;
    for (let at = 0; at < tints.length; at++) {
      const score = points.score[at]!;
      if (tint === "score") tints[at] = Number.isNaN(score) ? -1 : Math.max(0, (score - 0.5) / 0.5);
      else if (tint === "mean") tints[at] = isDead(points, at) ? -1 : Math.min(1, points.mean[at]! / points.max[at]!);
      else if (tint === "starred") tints[at] = points.starred[at] ? 1 : -1;
      else tints[at] = -1;
    }
    this.painter.take(this.cast, "tints");
    this.draw();
  }

  /** Which features match everything but the brush; null for all. */
  setHeld(held: Uint8Array | null): void {
    if (held) this.cast.held.set(held.subarray(0, this.size));
    else this.cast.held.fill(1);
    this.painter.take(this.cast, "held");
    this.draw();
  }

  /** Draw before the browser paints next, once. */
  draw(): void {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.painter.paint(this.scene());
    });
  }

  /** Draw now, and come back when it is done: for measuring. */
  drawNow(): void {
    this.painter.finish(this.scene());
  }

  dispose(): void {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    this.painter.dispose();
  }

  private scene(): Scene {
    return { view: this.view, box: this.box, frame: this.frame, colours: this.colours, size: this.size > 40_000 ? 3.2 : 4.4 };
  }
}

/** A colour of tokens.css, #rrggbb, as three numbers from 0 to 1. */
function rgb(hex: string): number[] {
  const value = Number.parseInt(hex.replace("#", "").slice(0, 6), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255].map((part) => part / 255);
}
