import type { Cast, Painter, Scene } from "./painter";

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

const FIELDS = ["place", "tint", "held", "noise"] as const;
const UNIFORMS = ["view", "box", "frame", "size", "scale", "pass", "boxed", "strip", "ramp", "plain", "grey", "big"] as const;
const SOURCES = { place: "places", tint: "tints", held: "held", noise: "noise" } as const;

/** Points on the graphics card: one buffer a field, two draw calls. */
export class GlPainter implements Painter {
  private program: WebGLProgram | null = null;
  private uniforms = new Map<string, WebGLUniformLocation | null>();
  private buffers = new Map<string, WebGLBuffer | null>();
  private cast: Cast | null = null;
  private count = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly gl: WebGL2RenderingContext,
    again: () => void,
  ) {
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.build();
      if (this.cast) for (const field of FIELDS) this.take(this.cast, SOURCES[field]);
      again();
    });
    this.build();
  }

  take(cast: Cast, changed: keyof Cast): void {
    this.cast = cast;
    this.count = cast.tints.length;
    const field = FIELDS.find((name) => SOURCES[name] === changed);
    if (!field) return;
    const values = cast[changed];
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers.get(field) ?? null);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values instanceof Float32Array ? values : Float32Array.from(values), this.gl.DYNAMIC_DRAW);
  }

  paint(scene: Scene): void {
    const { gl, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.count || !this.program || !this.cast) return;
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    FIELDS.forEach((name, at) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name) ?? null);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, name === "place" ? 2 : 1, gl.FLOAT, false, 0, 0);
    });
    const at = (name: (typeof UNIFORMS)[number]) => this.uniforms.get(name) ?? null;
    const { view, box, frame, colours } = scene;
    gl.uniform4f(at("view"), view.x0, view.x1, view.y0, view.y1);
    gl.uniform4f(at("box"), box?.x0 ?? 0, box?.x1 ?? 0, box?.y0 ?? 0, box?.y1 ?? 0);
    gl.uniform1i(at("boxed"), box ? 1 : 0);
    gl.uniform4f(at("frame"), frame.left, frame.top, frame.right, frame.bottom);
    gl.uniform2f(at("strip"), ...frame.strip);
    gl.uniform2f(at("size"), canvas.clientWidth, canvas.clientHeight);
    gl.uniform1f(at("scale"), canvas.width / Math.max(1, canvas.clientWidth));
    gl.uniform1f(at("big"), scene.size);
    gl.uniform3fv(at("ramp"), colours.ramp);
    gl.uniform3fv(at("plain"), colours.plain);
    gl.uniform3fv(at("grey"), colours.grey);
    for (const pass of !box && !this.cast.held.includes(0) ? [1] : [0, 1]) {
      gl.uniform1i(at("pass"), pass);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
  }

  finish(scene: Scene): void {
    this.paint(scene);
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  dispose(): void {
    this.gl.deleteProgram(this.program);
    for (const buffer of this.buffers.values()) this.gl.deleteBuffer(buffer);
  }

  private build(): void {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind);
      if (!shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    FIELDS.forEach((name, at) => gl.bindAttribLocation(program, at, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "the shader does not link");
    this.program = program;
    this.uniforms = new Map(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]));
    this.buffers = new Map(FIELDS.map((name) => [name, gl.createBuffer()]));
  }
}

/** A WebGL 2 context that a graphics card draws, or null: a processor playing one is slower than painting the pixels. */
export function card(canvas: HTMLCanvasElement): WebGL2RenderingContext | null {
  const probe = document.createElement("canvas").getContext("webgl2");
  if (!probe) return null;
  const info = probe.getExtension("WEBGL_debug_renderer_info");
  const name = String(probe.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : probe.RENDERER));
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  if (/swiftshader|llvmpipe|software|basic render/i.test(name)) return null;
  return canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true });
}
