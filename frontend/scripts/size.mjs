// The JavaScript of the first load, gzip-compressed, against its limit. A page's first load is the entry, what it
// imports, and the largest page: whichever page is opened first, no more than this is fetched.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 350_000;
const root = new URL("../../src/saescope/web/static/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", root), "utf8"));
const size = new Map();
const bytes = (file) => {
  if (!size.has(file)) size.set(file, gzipSync(readFileSync(new URL(file, root)), { level: 9 }).length);
  return size.get(file);
};

function files(key, found = new Set()) {
  const chunk = manifest[key];
  if (found.has(chunk.file)) return found;
  found.add(chunk.file);
  for (const other of chunk.imports ?? []) files(other, found);
  return found;
}

const total = (set) => [...set].filter((file) => file.endsWith(".js")).reduce((sum, file) => sum + bytes(file), 0);
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const shell = files(entry);
const theme = gzipSync(readFileSync(new URL("theme.js", root))).length;
let worst = total(shell) + theme;
for (const key of manifest[entry].dynamicImports ?? []) {
  const page = total(files(key, new Set(shell))) + theme;
  console.log(`${(page / 1000).toFixed(1).padStart(7)} kB  ${key}`);
  worst = Math.max(worst, page);
}
console.log(`${((total(shell) + theme) / 1000).toFixed(1).padStart(7)} kB  shell alone`);
if (worst > LIMIT) {
  console.error(`first load is ${worst} bytes compressed, over the limit of ${LIMIT}`);
  process.exit(1);
}
