// Checks that a packed `native` has an addon for each CPU and C library that a release serves, and that each is what its place
// says: node-gyp-build finds it by its name alone, and npm users have no compiler.
//
//   node scripts/check-prebuilds.cjs TARBALL
"use strict";

const { execFileSync } = require("node:child_process");

/** By its path in the package. `machine` is that of the ELF header; `libc` is the library that the addon names as needed. */
const PREBUILDS = {
  "prebuilds/linux-x64/vfio_native.node": { machine: 62, libc: "libc.so.6" },
  "prebuilds/linux-x64/vfio_native.musl.node": { machine: 62, libc: "libc.so" },
  "prebuilds/linux-arm64/vfio_native.node": { machine: 183, libc: "libc.so.6" },
  "prebuilds/linux-arm64/vfio_native.musl.node": { machine: 183, libc: "libc.so" },
};

/** Where an ELF header has its machine. */
const MACHINE_AT = 18;
const LARGEST = 64 * 2 ** 20;

/** What is wrong with the addons of a tarball, a line each. */
function problemsOf(tarball) {
  const tar = (...args) => execFileSync("tar", [...args], { maxBuffer: LARGEST });
  const names = tar("-tzf", tarball).toString().split("\n");
  const addons = names.filter((name) => name.endsWith(".node")).map((name) => name.replace(/^package\//, ""));
  const unknown = addons.filter((name) => !(name in PREBUILDS)).map((name) => `${name}: no release serves that`);
  const others = Object.entries(PREBUILDS).flatMap(([name, { machine, libc }]) => {
    if (!addons.includes(name)) return [`${name} is missing`];
    const addon = tar("-xzOf", tarball, `package/${name}`);
    if (addon.toString("latin1", 0, 4) !== "\x7fELF") return [`${name} is no ELF file`];
    const found = addon.readUInt16LE(MACHINE_AT);
    const wrong = found === machine ? [] : [`${name} is for the ELF machine ${found}, not ${machine}`];
    // A name in the table of strings ends with a NUL.
    return addon.includes(`\0${libc}\0`) ? wrong : [...wrong, `${name} does not need ${libc}`];
  });
  return [...unknown, ...others];
}

module.exports = { PREBUILDS };

if (require.main === module) {
  const [tarball] = process.argv.slice(2);
  if (tarball === undefined) {
    console.error("usage: check-prebuilds.cjs TARBALL");
    process.exit(2);
  }
  const problems = problemsOf(tarball);
  for (const problem of problems) console.error(problem);
  if (problems.length === 0) console.log(`${Object.keys(PREBUILDS).length} addons are in ${tarball}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
