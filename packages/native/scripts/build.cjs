// Builds the addon for the running Node into prebuilds/<platform>-<arch>/vfio_native.node.
"use strict";
const { spawnSync } = require("node:child_process");
const { existsSync, realpathSync } = require("node:fs");
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

const gypDirectory = join(packageDirectory, "gyp");
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
    `--cwd=${gypDirectory}`,
    `--out=${packageDirectory}`,
    "--name=vfio_native",
  ],
  { cwd: packageDirectory, env: environment, stdio: "inherit" },
);
if (error) throw error;
process.exit(status ?? 1);
