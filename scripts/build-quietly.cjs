// Builds what the named packages need and what is not built yet, before a root script runs it. Prints one line when that
// takes a while, and turbo's words when something fails. Under sudo the tree's owner builds, so that root leaves no files
// there. Usage: build-quietly.cjs PACKAGE…
const { spawn } = require("node:child_process");
const { readFileSync, statSync } = require("node:fs");
const { join } = require("node:path");

/** The user whom sudo made root, when the tree is theirs. */
function builder() {
  const { uid, gid } = statSync(join(__dirname, ".."));
  if (process.getuid() !== 0 || uid === 0 || process.env.SUDO_UID !== String(uid)) return undefined;
  const [name = String(uid), , , , , home = "/"] =
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .find((fields) => fields[2] === String(uid)) ?? [];
  return { uid, gid, name, home };
}

/** The environment without the variables that name root's own folders. */
function environmentOf({ name, home }) {
  const own = Object.entries(process.env).filter(([key]) => !/^(XDG_|SUDO_)/.test(key));
  return { ...Object.fromEntries(own), HOME: home, USER: name, LOGNAME: name };
}

// A build that finds everything built takes less.
const NOTICE_AFTER_MS = 2000;

// No package's build depends on the addon, which is built beside them: it is named here.
const packages = ["native", ...process.argv.slice(2)].map((name) => `--filter=@vfio-selftests/${name}`);
const user = builder();
const turbo = spawn("turbo", ["run", "build", "build:addon", ...packages, "--output-logs=errors-only"], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...(user === undefined ? process.env : environmentOf(user)), TURBO_TELEMETRY_DISABLED: "1" },
  ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
});
let output = "";
turbo.stdout.setEncoding("utf8").on("data", (text) => (output += text));
const notice = setTimeout(() => {
  process.stderr.write("Building what is not built yet: the first time half a minute on two cores.\n");
}, NOTICE_AFTER_MS);
turbo.on("error", ({ message }) => {
  process.stderr.write(`turbo: ${message}\n`);
  process.exitCode = 1;
});
turbo.on("close", (status) => {
  clearTimeout(notice);
  if (status === 0) return;
  process.stderr.write(output);
  if (user !== undefined) {
    process.stderr.write(
      `The build ran as ${user.name}, who owns this tree.\n` +
        `  Remedy: run \`pnpm build\` as ${user.name}; files of root's from an earlier build: chown -R ${user.name} .\n`,
    );
  }
  process.exitCode = status ?? 1;
});
