// Checks what npm would get of each published package: packs it, and asks publint (manifest and files) and attw (types, as each
// way of resolving modules finds them). An addon's package has no types, and no file where the addon is not built: check-addons.cjs
// looks at those before a release. TypeScript's old `node10` resolution knows no `exports`, so it is left out.
"use strict";

const { execFileSync } = require("node:child_process");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { basename, join } = require("node:path");
const { packPublished, publishedPackages } = require("./published-packages.cjs");

/** A program and the words before the tarball. */
const CHECKS = [
  ["publint", "run", "--strict"],
  ["attw", "--profile", "node16", "--format", "ascii"],
];

/** Where the sources are: npm's provenance compares it with the repository that built the package. */
const REPOSITORY = require("../package.json").repository.url;

let failed = 0;
for (const { manifest, directory } of publishedPackages()) {
  const { type, url, directory: told } = manifest.repository ?? {};
  if (type === "git" && url === REPOSITORY && told === directory) continue;
  console.error(`${manifest.name}: "repository" is not { "type": "git", "url": "${REPOSITORY}", "directory": … }`);
  failed += 1;
}
// All are built: `prepack` would only look at that once more for each.
process.env.npm_config_ignore_scripts = "true";
const folder = mkdtempSync(join(tmpdir(), "packages-"));
try {
  for (const tarball of packPublished(folder, ({ addon }) => !addon)) {
    for (const [program, ...args] of CHECKS) {
      const file = join(__dirname, "node_modules/.bin", program);
      try {
        execFileSync(file, [...args, tarball], { stdio: "pipe", encoding: "utf8" });
      } catch (error) {
        console.error(`${program} ${basename(tarball)}\n${error.stdout}${error.stderr}`);
        failed += 1;
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(failed === 0 ? `${publishedPackages().length} packages are in order` : `${failed} problems`);
process.exitCode = failed === 0 ? 0 : 1;
