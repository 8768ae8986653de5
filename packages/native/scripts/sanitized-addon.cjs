// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer, and gives the environment that loads it.
"use strict";
const { execFile, execFileSync } = require("node:child_process");
const { mkdirSync, readFileSync, existsSync, realpathSync } = require("node:fs");
const { dirname, join } = require("node:path");
const { promisify } = require("node:util");

const packageDirectory = dirname(__dirname);
const gypDirectory = join(packageDirectory, "gyp");
const directory = join(packageDirectory, "build-sanitized");
const addon = join(directory, "vfio_native.node");
const compiler = process.env.CXX ?? "g++";

/** The headers of the running Node: beside it, or where node-gyp is told to look. */
function nodeHeaders() {
  const prefixes = [process.env.npm_config_nodedir, dirname(dirname(realpathSync(process.execPath)))];
  const found = prefixes
    .map((prefix) => prefix && join(prefix, "include/node"))
    .find((path) => path && existsSync(path));
  if (found === undefined) throw new Error("no headers of this Node: set npm_config_nodedir to its directory");
  return found;
}

/** The addon's target in binding.gyp, which is JavaScript except for its comments. */
function target() {
  const text = readFileSync(join(gypDirectory, "binding.gyp"), "utf8").replaceAll(/^\s*#.*$/gm, "");
  return Function(`return (${text})`)().targets[0];
}

const compile = (options) => promisify(execFile)(compiler, options);

/** Compiles into build-sanitized/. */
async function build() {
  const { sources, include_dirs, defines, cflags_cc, ldflags } = target();
  mkdirSync(directory, { recursive: true });
  const objects = sources.map((source) => join(directory, source.replaceAll("/", "_") + ".o"));
  const flags = [
    "-O1",
    "-g",
    "-fPIC",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
  ];
  // gyp's commands among them ("<!") give node-addon-api's.
  const own = include_dirs.filter((path) => !path.startsWith("<!")).map((path) => join(gypDirectory, path));
  const includes = [...own, nodeHeaders(), require("node-addon-api").include_dir].map((path) => `-I${path}`);
  const options = [...flags, ...cflags_cc, ...defines.map((define) => `-D${define}`), ...includes];
  await Promise.all(
    sources.map((source, index) => {
      const language = source.endsWith(".cc") ? options : options.filter((option) => !cflags_cc.includes(option));
      return compile([...language, "-c", join(gypDirectory, source), "-o", objects[index]]);
    }),
  );
  await compile(["-shared", ...flags, ...ldflags, ...objects, "-o", addon]);
}

/** The environment in which every Node process loads that addon. */
function environment(asanOptions = []) {
  const library = execFileSync(compiler, ["-print-file-name=libasan.so"], { encoding: "utf8" }).trim();
  return {
    ...process.env,
    LD_PRELOAD: realpathSync(library),
    VFIO_NATIVE_ADDON: addon,
    VFIO_NATIVE_SANITIZED: "1",
    // Node's own leaks at exit are not ours. The addon handles bus errors.
    ASAN_OPTIONS: ["detect_leaks=0", "handle_sigbus=0", "abort_on_error=1", ...asanOptions].join(":"),
    UBSAN_OPTIONS: "print_stacktrace=1",
  };
}

module.exports = { build, environment, packageDirectory };
