import type { Mode, SteerRequest, Unit, Where } from "../../api/steer";
import type { Search } from "../../lib/search";

export interface Edit {
  feature: number;
  mode: Mode;
  amount: number;
  unit: Unit;
  off: boolean;
}

const MODES: Mode[] = ["add", "set", "min", "scale", "ablate"];
const UNITS: Unit[] = ["max", "raw", "norm"];

/** Edits as the address and the command line have them: FEATURE:MODE:AMOUNT[:UNIT], a `!` before those that are off. */
export function readEdits(text: string | undefined): Edit[] {
  const found: Edit[] = [];
  for (const part of text?.split(",") ?? []) {
    const [feature, mode, amount, unit] = part.replace(/^!/, "").split(":");
    const index = Number(feature);
    if (!feature || !Number.isInteger(index) || index < 0 || found.some((edit) => edit.feature === index)) continue;
    found.push({
      feature: index,
      mode: MODES.includes(mode as Mode) ? (mode as Mode) : "add",
      amount: amount !== undefined && Number.isFinite(Number(amount)) ? Number(amount) : mode === "scale" ? 2 : 1,
      unit: UNITS.includes(unit as Unit) ? (unit as Unit) : "max",
      off: part.startsWith("!"),
    });
  }
  return found;
}

export const writeEdit = (edit: Omit<Edit, "off">) =>
  edit.mode === "ablate" ? `${edit.feature}:ablate` : `${edit.feature}:${edit.mode}:${edit.amount}${edit.mode === "scale" ? "" : `:${edit.unit}`}`;

export const writeEdits = (edits: readonly Edit[]) => edits.map((edit) => (edit.off ? "!" : "") + writeEdit(edit)).join(",") || undefined;

/** An edit in a few words: "3446 + 1.25 × max". */
export function spokenEdit(edit: Edit): string {
  const size = `${Math.abs(edit.amount)}`.replace("-", "−");
  const unit = { max: " × max", raw: "", norm: " × norm" }[edit.unit];
  if (edit.mode === "ablate") return `${edit.feature} ablated`;
  if (edit.mode === "scale") return `${edit.feature} × ${edit.amount}`;
  if (edit.mode === "add") return `${edit.feature} ${edit.amount < 0 ? "−" : "+"} ${size}${unit}`;
  return `${edit.feature} ${edit.mode === "set" ? "=" : "≥"} ${edit.amount}${unit}`;
}

export interface Sampling {
  prompt: string;
  where: Where;
  tokens: number;
  temperature: number;
  seed: number;
}

export const FIRST_PROMPT = "My fellow citizens, the most important thing this country can do is";

export function readSampling(words: Search): Sampling {
  const number = (text: string | undefined, otherwise: number, low: number, high: number) => {
    const value = Number(text);
    return text !== undefined && text !== "" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
  };
  return {
    prompt: words.prompt ?? FIRST_PROMPT,
    where: words.where === "prompt" || words.where === "generated" ? words.where : "all",
    tokens: Math.round(number(words.n, 48, 1, 2048)),
    temperature: number(words.t, 0, 0, 10),
    seed: Math.round(number(words.seed, 0, 0, 2 ** 53 - 1)),
  };
}

/** The same request, to be run from Python. */
export function asPython(request: SteerRequest): string {
  const edits = request.edits.map((edit) => `    saescope.Edit(feature=${edit.feature}, mode="${edit.mode}", amount=${edit.amount}, unit="${edit.unit}"),`);
  return [
    "import saescope",
    "",
    "studio = saescope.open()",
    "edits = (",
    ...edits,
    ")",
    "studio.run(saescope.SteerText(",
    `    sae=${JSON.stringify(request.sae)}, extraction=${JSON.stringify(request.extraction)}, prompt=${JSON.stringify(request.prompt)}, edits=edits,`,
    `    where="${request.where}", max_new_tokens=${request.max_new_tokens}, temperature=${request.temperature}, seed=${request.seed},`,
    "))",
  ].join("\n");
}

const quoted = (text: string) => `'${text.replace(/'/g, "'\\''")}'`;

/** The same request, as a command. */
export const asCommand = (request: SteerRequest) =>
  [
    "saescope steer",
    `--sae ${quoted(request.sae)}`,
    `--prompt ${quoted(request.prompt)}`,
    ...request.edits.map((edit) => `--edit ${writeEdit(edit)}`),
    `--where ${request.where}`,
    `--max-new-tokens ${request.max_new_tokens}`,
    `--temperature ${request.temperature}`,
    `--seed ${request.seed}`,
  ].join(" ");
