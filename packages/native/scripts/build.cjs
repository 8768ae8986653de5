// Builds the addon for the running Node into the package of its platform, platforms/linux-<arch>-<C library>/vfio_native.node.
// With an argument, `arm64`: for that CPU, by Debian's cross compiler, beside the one that is there.
"use strict";
const { spawnSync } = require("node:child_process");
const { existsSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync } = require("node:fs");
const { delimiter, dirname, join } = require("node:path");

const packageDirectory = dirname(__dirname);
const prefix = dirname(dirname(realpathSync(process.execPath)));
const environment = { ...process.env };

// The headers beside this Node save node-gyp a download.
if (!environment.npm_config_nodedir && existsSync(join(prefix, "include/node/node_api.h"))) {
  environment.npm_config_nodedir = prefix;
}
environment.PREBUILD_NODE_GYP ??= require.resolve("node-gyp/bin/node-gyp.js");
// node-gyp and binding.gyp call `node`; this makes it the running one.
environment.PATH = [dirname(process.execPath), environment.PATH].join(delimiter);
environment.JOBS ??= "max";

const ADDON = "vfio_native.node";
const platforms = join(packageDirectory, "platforms");

/** The platform of a CPU. Debian's cross compiler makes addons for glibc. */
function platformOf(cpu) {
  const isMusl = process.report.getReport().header.glibcVersionRuntime === undefined;
  return `linux-${cpu}-${cpu === process.arch && isMusl ? "musl" : "glibc"}`;
}

const CROSS_TOOLS = { arm64: "aarch64-linux-gnu" };
const arch = process.argv[2] ?? process.arch;
if (arch !== process.arch) {
  const tools = CROSS_TOOLS[arch];
  if (tools === undefined) throw new Error(`no cross compiler is known for ${arch}; there is one for arm64`);
  environment.CC = `${tools}-gcc`;
  environment.CXX = `${tools}-g++`;
  environment.PREBUILD_STRIP_BIN = `${tools}-strip`;
  if (spawnSync(environment.CXX, ["--version"]).error) {
    console.error(`${environment.CXX} is not installed. Remedy: apt-get install g++-${tools}`);
    process.exit(1);
  }
} else {
  // An addon for another CPU or C library was built from sources that have changed since.
  for (const name of readdirSync(platforms).filter((each) => each !== platformOf(arch))) {
    rmSync(join(platforms, name, ADDON), { force: true });
  }
}

const platform = join(platforms, platformOf(arch));
const gypDirectory = join(packageDirectory, "gyp");
// In the same file system as the addon's place, so that the addon can be moved there.
const output = mkdtempSync(join(packageDirectory, "build-"));
// The lock keeps two builds of one checkout from deleting each other's objects.
// Without --target, prebuildify takes the newest Node it knows and downloads its headers.
const { status, error } = spawnSync(
  "flock",
  [
    gypDirectory,
    process.execPath,
    require.resolve("prebuildify/bin.js"),
    "--napi",
    "--strip",
    `--target=${process.versions.node}`,
    `--arch=${arch}`,
    `--cwd=${gypDirectory}`,
    `--out=${output}`,
    "--name=vfio_native",
  ],
  { cwd: packageDirectory, env: environment, stdio: "inherit" },
);
if (status === 0) renameSync(join(output, "prebuilds", `linux-${arch}`, ADDON), join(platform, ADDON));
rmSync(output, { recursive: true });
if (error) throw error;
process.exit(status ?? 1);
