/** One value per feature, index by index; NaN where there is none. */
export interface Points extends Places, Columns {}

interface Columns {
  density: Float32Array;
  max: Float32Array;
  mean: Float32Array;
  score: Float32Array;
  starred: Uint8Array;
}

/** Where each feature stands on log axes: log10 of density and of the largest activation; NOWHERE for a dead one. */
interface Places {
  x: Float32Array;
  y: Float32Array;
}
const NOWHERE = -99;

/** The columns with every feature's place: worked out once, read by all that draws, counts and finds. */
export function placed(columns: Columns): Points {
  const { density, max } = columns;
  const [x, y] = [new Float32Array(density.length), new Float32Array(density.length)];
  for (let at = 0; at < density.length; at++) {
    const alive = density[at]! > 0 && max[at]! > 0;
    x[at] = alive ? Math.log10(density[at]!) : NOWHERE;
    y[at] = alive ? Math.log10(max[at]!) : NOWHERE;
  }
  return { ...columns, x, y };
}

/** A rectangle in log10 units: x is density, y is the largest activation. */
export interface Box {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

export type Tint = "score" | "mean" | "starred" | "none";

/** A dead feature has no place on log axes: it stands in a strip of its own. */
export const isDead = (points: Points, at: number) => points.x[at] === NOWHERE;

/** The box that holds every living feature, with some room. */
export function extent(points: Points): Box {
  let x0 = Infinity;
  let x1 = -Infinity;
  let y0 = Infinity;
  let y1 = -Infinity;
  for (let at = 0; at < points.density.length; at++) {
    if (isDead(points, at)) continue;
    const [x, y] = [points.x[at]!, points.y[at]!];
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  if (x0 > x1) return { x0: -5, x1: 0, y0: -1, y1: 2 };
  const padX = 0.04 * (x1 - x0) + 0.05;
  const padY = 0.06 * (y1 - y0) + 0.03;
  return { x0: x0 - padX, x1: Math.min(0.02, x1 + padX), y0: y0 - padY, y1: y1 + padY };
}

/** Round values on a log axis: 1, 2, 5 times powers of ten where there is room, else powers of ten. */
export function ticks(low: number, high: number, most: number): number[] {
  const found: number[] = [];
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    found.length = 0;
    for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
      for (const step of steps) {
        const value = Math.log10(step) + power;
        if (value >= low && value <= high) found.push(step * 10 ** power);
      }
    }
    if (found.length <= most) return found;
  }
  const keep = Math.ceil(found.length / most);
  return found.filter((_, at) => at % keep === 0);
}
