/** One value per feature, index by index; NaN where there is none. */
export interface Points {
  density: Float32Array;
  max: Float32Array;
  mean: Float32Array;
  score: Float32Array;
  starred: Uint8Array;
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
export const isDead = (points: Points, at: number) => !(points.density[at]! > 0 && points.max[at]! > 0);

/** The box that holds every living feature, with some room. */
export function extent(points: Points): Box {
  let x0 = Infinity;
  let x1 = -Infinity;
  let y0 = Infinity;
  let y1 = -Infinity;
  for (let at = 0; at < points.density.length; at++) {
    if (isDead(points, at)) continue;
    const x = Math.log10(points.density[at]!);
    const y = Math.log10(points.max[at]!);
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
