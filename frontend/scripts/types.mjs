// Types of the API, from its own description: node scripts/types.mjs [--check]
// The description is made by the package itself (SAESCOPE_PYTHON or ../.venv), so no server need run.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const target = new URL("../src/api/schema.d.ts", import.meta.url);
if (!existsSync(new URL("../../src/saescope/web/app.py", import.meta.url))) {
  console.error("there is no src/saescope/web/app.py to take the API's description from");
  process.exit(process.argv.includes("--check") ? 0 : 1);
}
const venv = new URL("../../.venv/bin/python", import.meta.url).pathname;
const python = process.env.SAESCOPE_PYTHON ?? (existsSync(venv) ? venv : "python3");
const program = "import json; from saescope.web.app import openapi; print(json.dumps(openapi()))";
const document = JSON.parse(execFileSync(python, ["-c", program], { encoding: "utf8", maxBuffer: 1 << 28 }));
const head = "// Made by `npm run types` from the API's own description. Do not edit.\n\n";
const text = head + astToString(await openapiTS(document));
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error("src/api/schema.d.ts is not what the API says: run `npm run types`");
    process.exit(1);
  }
} else writeFileSync(target, text);
