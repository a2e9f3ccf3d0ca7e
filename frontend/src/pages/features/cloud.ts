import { token } from "../../lib/theme";

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

const VERTEX = `#version 300 es
in vec2 place; in float tint; in float held; in float noise;
uniform vec4 view; uniform vec4 box; uniform vec4 frame; uniform vec2 size; uniform float scale; uniform int pass; uniform int boxed; uniform vec2 strip;
uniform vec3 ramp[5]; uniform vec3 plain; uniform vec3 grey; uniform float big;
out vec4 ink;
float part(float v) { return clamp(v, 0.0, 1.0); }
void main() {
  bool dead = place.x < -90.0;
  bool inside = held > 0.5 && (boxed == 0 || (!dead && place.x >= box.x && place.x <= box.y && place.y >= box.z && place.y <= box.w));
  bool out_of_view = !dead && (place.x < view.x || place.x > view.y || place.y < view.z || place.y > view.w);
  if (inside != (pass == 1) || out_of_view) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); gl_PointSize = 1.0; ink = vec4(0.0); return; }
  vec2 at;
  if (dead) at = vec2(mix(strip.x, strip.y, noise), mix(frame.y + 4.0, frame.w - 4.0, fract(noise * 977.0)));
  else at = vec2(mix(frame.x, frame.z, (place.x - view.x) / (view.y - view.x)), mix(frame.w, frame.y, (place.y - view.z) / (view.w - view.z)));
  gl_Position = vec4(at.x / size.x * 2.0 - 1.0, 1.0 - at.y / size.y * 2.0, 0.0, 1.0);
  gl_PointSize = (pass == 1 ? big : big - 1.0) * scale * (dead ? 0.7 : 1.0);
  vec3 colour = grey;
  if (pass == 1 && !dead) {
    if (tint < 0.0) colour = plain;
    else { float k = part(tint) * 4.0; int a = int(min(3.0, floor(k))); colour = mix(ramp[a], ramp[a + 1], k - float(a)); }
  }
  ink = vec4(colour, pass == 1 ? (dead ? 0.5 : 0.95) : 0.34);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 ink; out vec4 colour;
void main() {
  vec2 d = gl_PointCoord - 0.5;
  float edge = smoothstep(0.25, 0.16, dot(d, d));
  if (edge <= 0.0) discard;
  colour = vec4(ink.rgb * ink.a * edge, ink.a * edge);
}`;

/** Pixels of the plot inside the canvas: points are drawn in there, the dead in the strip at its left. */
export interface Frame {
  left: number;
  top: number;
  right: number;
  bottom: number;
  strip: [number, number];
}

const hash = (n: number) => {
  const x = Math.sin(n * 12.9898) * 43758.5453;
  return x - Math.floor(x);
};

/** Every feature as a point, on the graphics card: one buffer, two draw calls, drawn only when something changed. */
export class Cloud {
  private readonly gl: WebGL2RenderingContext | null;
  private readonly flat: CanvasRenderingContext2D | null;
  private program: WebGLProgram | null = null;
  private uniforms = new Map<string, WebGLUniformLocation | null>();
  private buffers = new Map<string, WebGLBuffer | null>();
  private count = 0;
  private places = new Float32Array();
  private tints = new Float32Array();
  private held = new Uint8Array();
  private asked = 0;
  private colours: { ramp: number[]; plain: number[]; grey: number[] } = { ramp: [], plain: [], grey: [] };

  view: Box = { x0: -4, x1: 0, y0: 0, y1: 2 };
  box: Box | null = null;
  frame: Frame = { left: 0, top: 0, right: 1, bottom: 1, strip: [0, 1] };
  /** Milliseconds the last frames took on the graphics card's side of the call, newest last. */
  readonly times: number[] = [];

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true, desynchronized: true });
    this.flat = this.gl ? null : canvas.getContext("2d");
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.program = null;
      this.build();
      this.upload();
      this.draw();
    });
    this.build();
    this.readColours();
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

  /** All features; tint 0 to 1 along the score colours, below 0 for "has none". */
  setPoints(points: Points): void {
    this.count = points.density.length;
    this.places = new Float32Array(2 * this.count);
    const noise = new Float32Array(this.count);
    for (let at = 0; at < this.count; at++) {
      const dead = isDead(points, at);
      this.places[2 * at] = dead ? -99 : Math.log10(points.density[at]!);
      this.places[2 * at + 1] = dead ? -99 : Math.log10(points.max[at]!);
      noise[at] = hash(at + 1);
    }
    this.tints = new Float32Array(this.count).fill(-1);
    this.held = new Uint8Array(this.count).fill(1);
    this.fill("noise", noise);
    this.upload();
    this.draw();
  }

  setTint(points: Points, tint: Tint): void {
    const values = this.tints;
    for (let at = 0; at < this.count; at++) {
      const score = points.score[at]!;
      if (tint === "score") values[at] = Number.isNaN(score) ? -1 : Math.max(0, (score - 0.5) / 0.5);
      else if (tint === "mean") values[at] = isDead(points, at) ? -1 : Math.min(1, points.mean[at]! / points.max[at]!);
      else if (tint === "starred") values[at] = points.starred[at] ? 1 : -1;
      else values[at] = -1;
    }
    this.fill("tint", values);
    this.draw();
  }

  /** Which features match everything but the brush; null for all. */
  setHeld(held: Uint8Array | null): void {
    if (held) this.held.set(held.subarray(0, this.count));
    else this.held.fill(1);
    this.fill("held", Float32Array.from(this.held));
    this.draw();
  }

  /** Draw before the browser paints next, once. */
  draw(): void {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      const start = performance.now();
      if (this.gl) this.drawGl(this.gl);
      else if (this.flat) this.drawFlat(this.flat);
      this.times.push(performance.now() - start);
      if (this.times.length > 240) this.times.shift();
    });
  }

  dispose(): void {
    cancelAnimationFrame(this.asked);
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }

  private build(): void {
    const gl = this.gl;
    if (!gl) return;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind);
      if (!shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["place", "tint", "held", "noise"].forEach((name, at) => gl.bindAttribLocation(program, at, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "shader");
    this.program = program;
    this.uniforms = new Map(
      ["view", "box", "frame", "size", "scale", "pass", "boxed", "strip", "ramp", "plain", "grey", "big"].map((name) => [name, gl.getUniformLocation(program, name)]),
    );
    this.buffers = new Map(["place", "tint", "held", "noise"].map((name) => [name, gl.createBuffer()]));
  }

  private upload(): void {
    this.fill("place", this.places);
    this.fill("tint", this.tints);
    this.fill("held", Float32Array.from(this.held));
  }

  private fill(name: string, values: Float32Array): void {
    const gl = this.gl;
    if (!gl) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name) ?? null);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
  }

  private drawGl(gl: WebGL2RenderingContext): void {
    const { width, height, clientWidth, clientHeight } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.count || !this.program) return;
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    ["place", "tint", "held", "noise"].forEach((name, at) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name) ?? null);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, name === "place" ? 2 : 1, gl.FLOAT, false, 0, 0);
    });
    const at = (name: string) => this.uniforms.get(name) ?? null;
    const { view, box, frame } = this;
    gl.uniform4f(at("view"), view.x0, view.x1, view.y0, view.y1);
    gl.uniform4f(at("box"), box?.x0 ?? 0, box?.x1 ?? 0, box?.y0 ?? 0, box?.y1 ?? 0);
    gl.uniform1i(at("boxed"), box ? 1 : 0);
    gl.uniform4f(at("frame"), frame.left, frame.top, frame.right, frame.bottom);
    gl.uniform2f(at("strip"), ...frame.strip);
    gl.uniform2f(at("size"), clientWidth, clientHeight);
    gl.uniform1f(at("scale"), width / Math.max(1, clientWidth));
    gl.uniform1f(at("big"), this.count > 40_000 ? 3.2 : 4.4);
    gl.uniform3fv(at("ramp"), this.colours.ramp);
    gl.uniform3fv(at("plain"), this.colours.plain);
    gl.uniform3fv(at("grey"), this.colours.grey);
    for (const pass of this.everythingHeld() ? [1] : [0, 1]) {
      gl.uniform1i(at("pass"), pass);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
  }

  private everythingHeld(): boolean {
    return !this.box && !this.held.includes(0);
  }

  /** Without WebGL 2: the same picture, slower. */
  private drawFlat(flat: CanvasRenderingContext2D): void {
    const { width, clientWidth } = this.canvas;
    const scale = width / Math.max(1, clientWidth);
    flat.setTransform(scale, 0, 0, scale, 0, 0);
    flat.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const { view, box, frame } = this;
    const css = (triple: number[]) => `rgb(${triple.map((part) => Math.round(255 * part)).join()})`;
    for (const pass of [0, 1]) {
      flat.globalAlpha = pass ? 0.95 : 0.34;
      for (let at = 0; at < this.count; at++) {
        const x = this.places[2 * at]!;
        const y = this.places[2 * at + 1]!;
        const inside = this.held[at] === 1 && (!box || (x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1));
        if (inside !== (pass === 1) || x < view.x0 || x > view.x1 || y < view.y0 || y > view.y1) continue;
        const tint = this.tints[at]!;
        const step = Math.min(4, Math.floor(tint * 5));
        flat.fillStyle = css(!pass ? this.colours.grey : tint < 0 ? this.colours.plain : this.colours.ramp.slice(3 * step, 3 * step + 3));
        const px = frame.left + ((x - view.x0) / (view.x1 - view.x0)) * (frame.right - frame.left);
        const py = frame.bottom - ((y - view.y0) / (view.y1 - view.y0)) * (frame.bottom - frame.top);
        flat.fillRect(px - 1.5, py - 1.5, 3, 3);
      }
    }
  }
}

function rgb(hex: string): number[] {
  const value = Number.parseInt(hex.replace("#", "").slice(0, 6), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255].map((part) => part / 255);
}

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
    this.x = new Float32Array(n);
    this.y = new Float32Array(n);
    this.starts = new Uint32Array(size + 1);
    const cells = new Int32Array(n).fill(-1);
    for (let at = 0; at < n; at++) {
      if (isDead(points, at)) continue;
      this.x[at] = Math.log10(points.density[at]!);
      this.y[at] = Math.log10(points.max[at]!);
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
