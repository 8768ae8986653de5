// The packages that a release publishes: those of packages/ that are not private, and the addons' for each platform, which are below
// native's. `pnpm -r pack` would pack the private ones, too.
//
//   node scripts/published-packages.cjs                 their folders, one a line
//   node scripts/published-packages.cjs --pack FOLDER   packs them into the folder, and prints the tarballs
"use strict";

const { execFileSync } = require("node:child_process");
const { mkdirSync, readdirSync, readFileSync } = require("node:fs");
const { join, relative, resolve } = require("node:path");

const ROOT = join(__dirname, "..");
const PARENTS = [join(ROOT, "packages"), join(ROOT, "packages/native/platforms")];

/** Each with its folder, the same from the root of the repository, and its manifest. `addon` tells that it has no JavaScript. */
function publishedPackages() {
  return PARENTS.flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ folder, manifest }) => ({
      folder,
      manifest,
      directory: relative(ROOT, folder),
      addon: manifest.main?.endsWith(".node") ?? false,
    }));
}

/** Packs the packages as they would be published, and returns the tarballs. Their `prepack` builds what is not built. */
function packPublished(destination, wanted = () => true) {
  mkdirSync(destination, { recursive: true });
  return publishedPackages()
    .filter(wanted)
    .map(({ folder, manifest }) => {
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
