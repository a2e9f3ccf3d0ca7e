// Write a .gz beside every text file of the build, so that the server compresses nothing while it serves.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const root = new URL("../../src/saescope/web/static/", import.meta.url).pathname;
for (const name of readdirSync(root, { recursive: true })) {
  if (!/\.(js|css|html|svg|json)$/.test(name)) continue;
  const bytes = readFileSync(join(root, name));
  const packed = gzipSync(bytes, { level: 9 });
  if (packed.length < bytes.length) writeFileSync(join(root, `${name}.gz`), packed);
}
