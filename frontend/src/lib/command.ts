const WORDS: Record<string, string> = { train_sae: "saescope train", extract_features: "saescope extract", label_features: "saescope label" };
/** What stands before the flags, by itself. */
const FIRST: Record<string, string> = { label_features: "extraction" };
const SINGULAR: Record<string, string> = { saes: "sae" };

const plain = /^[A-Za-z0-9_.,:/@%+=-]+$/;
const quoted = (text: string) => (plain.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

/** A spec as the command that asks for the same: lists become repeated flags, switches stand alone. */
export function asCommand(verb: string, spec: Record<string, unknown>): string {
  const first = FIRST[verb] === undefined ? [] : [quoted(String(spec[FIRST[verb]]))];
  const words = Object.entries(spec).filter(([name]) => name !== FIRST[verb]).flatMap(([name, value]) => {
    const flag = `--${(SINGULAR[name] ?? name).replaceAll("_", "-")}`;
    if (typeof value === "boolean") return value ? [flag] : [];
    return (Array.isArray(value) ? value : [value]).map((one) => `${flag} ${quoted(String(one))}`);
  });
  return [WORDS[verb] ?? verb, ...first, ...words].join(" ");
}
