// Checks that the packed packages of the addons are all there, for each CPU and C library that a release serves, and that each
// addon is what its package's name says: npm chooses by the name alone, and npm users have no compiler.
//
//   node scripts/check-addons.cjs FOLDER       with the tarballs that published-packages.cjs --pack wrote
"use strict";

const { execFileSync } = require("node:child_process");
const { readdirSync } = require("node:fs");
const { join } = require("node:path");

/** `machine` is that of the ELF header; `needs` is the library that the addon names as needed. */
const ADDONS = {
  "linux-x64-glibc": { machine: 62, needs: "libc.so.6", cpu: "x64", libc: "glibc" },
  "linux-x64-musl": { machine: 62, needs: "libc.so", cpu: "x64", libc: "musl" },
  "linux-arm64-glibc": { machine: 183, needs: "libc.so.6", cpu: "arm64", libc: "glibc" },
  "linux-arm64-musl": { machine: 183, needs: "libc.so", cpu: "arm64", libc: "musl" },
};

/** Where an ELF header has its machine. */
const MACHINE_AT = 18;
const LARGEST = 64 * 2 ** 20;
const TARBALL = /^vfio-selftests-native-(linux-.*)-\d+\.\d+\.\d+.*\.tgz$/;

/** What is wrong with one package, a line each. */
function problemsOf(name, tarball, { machine, needs, cpu, libc }) {
  const tar = (...args) => execFileSync("tar", args, { maxBuffer: LARGEST });
  const files = tar("-tzf", tarball).toString().split("\n");
  const manifest = JSON.parse(tar("-xzOf", tarball, "package/package.json").toString());
  const machines = JSON.stringify([manifest.os, manifest.cpu, manifest.libc]);
  const forOthers = machines === JSON.stringify([["linux"], [cpu], [libc]]) ? [] : [`${name} is for ${machines}`];
  if (!files.includes("package/vfio_native.node")) return [...forOthers, `${name} has no addon`];
  const addon = tar("-xzOf", tarball, "package/vfio_native.node");
  if (addon.toString("latin1", 0, 4) !== "\x7fELF") return [...forOthers, `${name}: its addon is no ELF file`];
  const found = addon.readUInt16LE(MACHINE_AT);
  const wrong = found === machine ? [] : [`${name}: its addon is for the ELF machine ${found}, not ${machine}`];
  // A name in the table of strings ends with a NUL.
  const foreign = addon.includes(`\0${needs}\0`) ? [] : [`${name}: its addon does not need ${needs}`];
  return [...forOthers, ...wrong, ...foreign];
}

/** The same of all in a folder. */
function problemsIn(folder) {
  const tarballs = new Map(
    readdirSync(folder).flatMap((file) => {
      const [, name] = TARBALL.exec(file) ?? [];
      return name === undefined ? [] : [[name, join(folder, file)]];
    }),
  );
  const unknown = [...tarballs.keys()]
    .filter((name) => !(name in ADDONS))
    .map((name) => `${name}: no release serves that`);
  const others = Object.entries(ADDONS).flatMap(([name, addon]) => {
    const tarball = tarballs.get(name);
    return tarball === undefined ? [`${name} is missing`] : problemsOf(name, tarball, addon);
  });
  return [...unknown, ...others];
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: check-addons.cjs FOLDER");
  process.exit(2);
}
const problems = problemsIn(folder);
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`${Object.keys(ADDONS).length} addons are in ${folder}`);
process.exitCode = problems.length === 0 ? 0 : 1;
