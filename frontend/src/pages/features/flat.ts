import type { Cast, Painter, Scene } from "./painter";

/** A round dot as pixels: offset from the middle, and how much of the pixel it covers. */
export function dot(diameter: number): { dx: number; dy: number; cover: number }[] {
  const radius = diameter / 2;
  const reach = Math.ceil(radius);
  const pixels = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0.08) pixels.push({ dx, dy, cover });
    }
  }
  return pixels;
}

/** Points where no graphics card is: painted pixel by pixel, ten times faster than a card played by the processor. */
export class FlatPainter implements Painter {
  private readonly flat: CanvasRenderingContext2D | null;
  private cast: Cast | null = null;
  private image: ImageData | null = null;
  private grey = new Float32Array();

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.flat = canvas.getContext("2d");
  }

  take(cast: Cast): void {
    this.cast = cast;
  }

  finish(scene: Scene): void {
    this.paint(scene);
  }

  dispose(): void {
    this.image = null;
  }

  paint({ view, box, frame, colours, size }: Scene): void {
    const { flat, cast, canvas } = this;
    const { width, height } = canvas;
    if (!flat || !cast || !width || !height) return;
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.image = flat.createImageData(width, height);
      this.grey = new Float32Array(width * height);
    }
    const out = new Uint32Array(this.image.data.buffer);
    const { grey } = this;
    out.fill(0);
    grey.fill(0);
    const scale = width / Math.max(1, canvas.clientWidth);
    const [left, right, top, bottom] = [frame.left * scale, frame.right * scale, frame.top * scale, frame.bottom * scale];
    const perX = (right - left) / (view.x1 - view.x0);
    const perY = (bottom - top) / (view.y1 - view.y0);
    const big = dot(size * scale * 0.8);
    const small = dot((size - 1) * scale * 0.8);
    const bigAt = Int32Array.from(big, ({ dx, dy }) => dy * width + dx);
    const bigCover = Uint8Array.from(big, ({ cover }) => Math.round(242 * cover));
    const smallAt = Int32Array.from(small, ({ dx, dy }) => dy * width + dx);
    const smallCover = Float32Array.from(small, ({ cover }) => 0.34 * cover);
    const reach = Math.ceil(size * scale * 0.5) + 1;
    const palette = shades(colours.ramp, colours.plain);
    const none = shade(colours.grey);
    const { places, tints, held, noise } = cast;
    for (let at = 0; at < tints.length; at++) {
      const x = places[2 * at]!;
      const y = places[2 * at + 1]!;
      const dead = x < -90;
      let px: number;
      let py: number;
      if (dead) {
        const k = noise[at]!;
        px = Math.round((frame.strip[0] + k * (frame.strip[1] - frame.strip[0])) * scale);
        py = Math.round(top + 4 + ((k * 977) % 1) * (bottom - top - 8));
      } else {
        if (x < view.x0 || x > view.x1 || y < view.y0 || y > view.y1) continue;
        px = Math.round(left + (x - view.x0) * perX);
        py = Math.round(bottom - (y - view.y0) * perY);
      }
      if (px < reach || py < reach || px >= width - reach || py >= height - reach) continue;
      const middle = py * width + px;
      const inside = held[at] === 1 && (box === null || (!dead && x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1));
      if (!inside || dead) {
        for (let k = 0; k < smallAt.length; k++) {
          const pixel = middle + smallAt[k]!;
          grey[pixel]! += (1 - grey[pixel]!) * smallCover[k]!;
        }
        continue;
      }
      const tint = tints[at]!;
      const colour = palette[tint < 0 ? 64 : Math.min(63, Math.floor(tint * 63.99))]!;
      for (let k = 0; k < bigAt.length; k++) {
        const pixel = middle + bigAt[k]!;
        // The later point wins where it covers as much: nothing is mixed, which a dense cloud does not show.
        if (bigCover[k]! >= out[pixel]! >>> 24) out[pixel] = (colour | (bigCover[k]! << 24)) >>> 0;
      }
    }
    for (let pixel = 0; pixel < grey.length; pixel++) {
      if (grey[pixel]! > 0) out[pixel] = under(out[pixel]!, none, grey[pixel]!);
    }
    flat.putImageData(this.image, 0, 0);
  }
}

/** A colour as the canvas keeps it in memory, without its opacity: 0xBBGGRR. */
const shade = (rgb: readonly number[]) => (Math.round(255 * rgb[0]!) | (Math.round(255 * rgb[1]!) << 8) | (Math.round(255 * rgb[2]!) << 16)) >>> 0;

/** 64 steps along the score colours, and last the one for "has no score". */
function shades(ramp: readonly number[], plain: readonly number[]): Uint32Array {
  const found = new Uint32Array(65);
  for (let step = 0; step < 64; step++) {
    const place = (step / 63) * 4;
    const low = Math.min(3, Math.floor(place));
    found[step] = shade([0, 1, 2].map((channel) => ramp[3 * low + channel]! + (place - low) * (ramp[3 * low + 3 + channel]! - ramp[3 * low + channel]!)));
  }
  found[64] = shade(plain);
  return found;
}

/** A colour laid under a pixel. */
function under(pixel: number, colour: number, cover: number): number {
  const alpha = pixel >>> 24;
  if (alpha > 240) return pixel;
  if (alpha === 0) return (colour | (Math.round(255 * cover) << 24)) >>> 0;
  return mixed(pixel & 0xffffff, alpha / 255, colour, cover);
}

function mixed(above: number, a: number, below: number, b: number): number {
  const rest = b * (1 - a);
  const alpha = a + rest;
  const part = (shift: number) => Math.round((((above >>> shift) & 255) * a + ((below >>> shift) & 255) * rest) / alpha);
  return (part(0) | (part(8) << 8) | (part(16) << 16) | (Math.round(255 * alpha) << 24)) >>> 0;
}
