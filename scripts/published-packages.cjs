// The packages that a release publishes: those of packages/ that are not private. `pnpm -r pack` would pack the private ones, too.
//
//   node scripts/published-packages.cjs                 their folders, one a line
//   node scripts/published-packages.cjs --pack FOLDER   packs them into the folder, and prints the tarballs
"use strict";

const { execFileSync } = require("node:child_process");
const { mkdirSync, readdirSync, readFileSync } = require("node:fs");
const { join, resolve } = require("node:path");

const PACKAGES = join(__dirname, "../packages");

/** Each with its folder and its manifest. */
function publishedPackages() {
  return readdirSync(PACKAGES)
    .map((name) => join(PACKAGES, name))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) }))
    .filter(({ manifest }) => manifest.private !== true);
}

/** Packs the packages as they would be published, and returns the tarballs. Their `prepack` builds what is not built. */
function packPublished(destination) {
  mkdirSync(destination, { recursive: true });
  return publishedPackages().map(({ folder, manifest }) => {
    const args = ["pack", "--pack-destination", resolve(destination)];
    execFileSync("pnpm", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
    return join(destination, `${manifest.name.replace("@", "").replace("/", "-")}-${manifest.version}.tgz`);
  });
}

module.exports = { packPublished, publishedPackages };

if (require.main === module) {
  const [option, destination] = process.argv.slice(2);
  if (option === undefined) for (const { folder } of publishedPackages()) console.log(folder);
  else if (option === "--pack" && destination !== undefined)
    for (const file of packPublished(destination)) console.log(file);
  else {
    console.error("usage: published-packages.cjs [--pack FOLDER]");
    process.exit(2);
  }
}
