import { isDead, type Box, type Points } from "./points";

/** Points by place, so that the one under the pointer is found without looking at all of them. */
export class Finder {
  private static readonly CELLS = 192;
  private readonly starts: Uint32Array;
  private readonly order: Uint32Array;
  private readonly x: Float32Array;
  private readonly y: Float32Array;

  constructor(points: Points, private readonly all: Box) {
    const n = points.density.length;
    const size = Finder.CELLS * Finder.CELLS;
    this.x = points.x;
    this.y = points.y;
    this.starts = new Uint32Array(size + 1);
    const cells = new Int32Array(n).fill(-1);
    for (let at = 0; at < n; at++) {
      if (isDead(points, at)) continue;
      const cell = this.cell(this.x[at]!, this.y[at]!);
      cells[at] = cell;
      this.starts[cell + 1]! += 1;
    }
    for (let cell = 0; cell < size; cell++) this.starts[cell + 1]! += this.starts[cell]!;
    const next = this.starts.slice();
    this.order = new Uint32Array(this.starts[size]!);
    for (let at = 0; at < n; at++) if (cells[at]! >= 0) this.order[next[cells[at]!]!++] = at;
  }

  /** The feature nearest to (x, y) within the radii, or null; `held` decides ties in favour of what is selected. */
  nearest(x: number, y: number, radiusX: number, radiusY: number, prefers: (at: number) => boolean): number | null {
    const [c0, r0] = this.slot(x - radiusX, y - radiusY);
    const [c1, r1] = this.slot(x + radiusX, y + radiusY);
    let best: number | null = null;
    let distance = 1;
    for (let row = r0; row <= r1; row++) {
      for (let column = c0; column <= c1; column++) {
        const cell = row * Finder.CELLS + column;
        for (let k = this.starts[cell]!; k < this.starts[cell + 1]!; k++) {
          const at = this.order[k]!;
          const dx = (this.x[at]! - x) / radiusX;
          const dy = (this.y[at]! - y) / radiusY;
          const far = dx * dx + dy * dy + (prefers(at) ? 0 : 0.25);
          if (far < distance) {
            distance = far;
            best = at;
          }
        }
      }
    }
    return best;
  }

  private slot(x: number, y: number): [number, number] {
    const last = Finder.CELLS - 1;
    const part = (value: number, low: number, high: number) => Math.min(last, Math.max(0, Math.floor(((value - low) / (high - low)) * Finder.CELLS)));
    return [part(x, this.all.x0, this.all.x1), part(y, this.all.y0, this.all.y1)];
  }

  private cell(x: number, y: number): number {
    const [column, row] = this.slot(x, y);
    return row * Finder.CELLS + column;
  }
}
