// Makes a release of the changesets: gives every published package its next version and its changelog. All have one version, the one
// that `fixed` in .changeset/config.json gives them.
//
// changesets takes a new minor version of a package for a breaking one of each package that has it as a peer, and would give the command
// and the drivers a major version with every release. Packages of one version need no such rule. So it does not see peers of our own.
//
//   node scripts/version-packages.cjs
"use strict";

const { execFileSync } = require("node:child_process");
const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { publishedPackages } = require("./published-packages.cjs");

const ROOT = join(__dirname, "..");
const CHANGESET = join(__dirname, "node_modules/.bin/changeset");

const isOurs = (name) => name.startsWith("@vfio-selftests/");

const withPeers = publishedPackages()
  .filter(({ manifest: { peerDependencies = {} } }) => Object.keys(peerDependencies).some(isOurs))
  .map(({ folder, manifest }) => {
    const file = join(folder, "package.json");
    return { file, manifest, text: readFileSync(file, "utf8") };
  });
try {
  for (const { file, manifest } of withPeers) {
    const others = Object.entries(manifest.peerDependencies).filter(([name]) => !isOurs(name));
    writeFileSync(file, JSON.stringify({ ...manifest, peerDependencies: Object.fromEntries(others) }));
  }
  execFileSync(CHANGESET, ["version"], { cwd: ROOT, stdio: "inherit" });
} finally {
  // Versions among our own packages are written as `workspace:`, so a manifest changes by its own version only.
  for (const { file, manifest, text } of withPeers) {
    const { version } = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, text.replace(`"version": "${manifest.version}"`, `"version": "${version}"`));
  }
}

const versions = new Set(publishedPackages().map(({ manifest }) => manifest.version));
if (versions.size !== 1) throw new Error(`the packages have several versions: ${[...versions].join(", ")}`);
console.log(`every package has version ${[...versions].join("")}`);
