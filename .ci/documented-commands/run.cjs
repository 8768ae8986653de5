// Runs the documented commands of a class of commands.json, each in a temporary folder, and checks how they end and what they print.
//
//   node .ci/documented-commands/run.cjs here|guest|lab|source [pattern]
//
// `here` needs no device; two run at once. `guest` runs in a VM with igb and nvme, and `lab` starts VMs: .ci/nightly runs both.
// `source` builds kernels of a tree in ~/linux, which .ci/source-commands makes.
// In a session's script $ROOT is the repository, and in the VM $DEVICE and $DISK are the devices' addresses. A session without a
// script runs its commands as they are documented, apart from what `replace` puts in the place of the reader's own names.
"use strict";

const { spawn } = require("node:child_process");
const { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { delimiter, join } = require("node:path");
const classes = require("./commands.json");
const { packageManager } = require("../../package.json");

const ROOT = join(__dirname, "../..");
const AT_ONCE = { here: 2, guest: 1, lab: 1, source: 1 };
/** Software emulation alone takes minutes for some of them, and a bisection builds a kernel for each step. */
const TIMEOUT_MS = { here: 180_000, guest: 900_000, lab: 1_800_000, source: 3 * 3_600_000 };
const PROGRAMS = {
  "vfio-selftests": `exec "${process.execPath}" "${ROOT}/packages/cli/dist/main.js" "$@"`,
  pnpm: `exec npx -y ${packageManager.split("+", 1)[0]} "$@"`,
};

/** What a shell gets for a session. */
function scriptOf({ commands, script }, replace) {
  // A function, because a `$` in a string has a meaning for replaceAll.
  const replaced = (text) =>
    Object.entries(replace).reduce((result, [from, to]) => result.replaceAll(from, () => to), text);
  const typed = commands.map(replaced);
  if (script === undefined) return typed.join("\n");
  const text = script.map(replaced).join("\n");
  const missing = typed.find((command) => !text.includes(command));
  if (missing !== undefined) throw new Error(`the script of "${commands[0]}" does not run "${missing}"`);
  return text;
}

/** Resolves to what is wrong; undefined where nothing is. */
async function problemOf(kind, session) {
  const folder = mkdtempSync(join(tmpdir(), "documented-"));
  try {
    for (const [name, text] of Object.entries(PROGRAMS)) {
      mkdirSync(join(folder, "bin"), { recursive: true });
      writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder, "bin", name), 0o755);
    }
    // Some commands go one folder up.
    const cwd = join(folder, "project");
    mkdirSync(cwd);
    const script = scriptOf(session, { ...session.replace, ...classes[kind].replace });
    const { status, output } = await runShell(script, cwd, join(folder, "bin"), TIMEOUT_MS[kind]);
    const expected = [session.status ?? 0].flat();
    if (!expected.includes(status)) return `exit ${status}, not ${expected.join(" or ")}:\n${output}`;
    return new RegExp(session.prints, "m").test(output) ? undefined : `does not print /${session.prints}/:\n${output}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runShell(script, cwd, bin, timeout) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:VFIO_SELFTESTS_(?!LAB$|NVME_SCRATCH$|SLOWDOWN$)|npm_lifecycle)/.test(name),
  );
  const [DEVICE = "", DISK = ""] = (process.env.VFIO_SELFTESTS_BDF ?? "").split(" ");
  const env = { ...Object.fromEntries(inherited), PATH: `${bin}${delimiter}${process.env.PATH}`, ROOT, DEVICE, DISK };
  return new Promise((resolve) => {
    // A group of its own: a server that a failed session has left ends with it.
    const child = spawn("bash", ["-ec", script], { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => endGroup(child.pid), timeout);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    }
    child.on("exit", () => endGroup(child.pid));
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status: status ?? signal, output });
    });
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // All of it has ended.
  }
}

async function main([kind, pattern = ""]) {
  if (!(kind in AT_ONCE)) {
    console.error("usage: run.cjs here|guest|lab|source [pattern]");
    process.exit(2);
  }
  // A wrong session of any class is told here, not hours later by night.
  for (const { replace, sessions } of Object.keys(AT_ONCE).map((name) => classes[name])) {
    for (const session of sessions) scriptOf(session, { ...session.replace, ...replace });
  }
  const chosen = classes[kind].sessions.filter(({ commands }) => new RegExp(pattern).test(commands.join("\n")));
  const waiting = [...chosen];
  let failed = 0;
  const runSome = async () => {
    for (let session = waiting.shift(); session !== undefined; session = waiting.shift()) {
      const started = Date.now();
      const problem = await problemOf(kind, session);
      const named = `${session.commands.join("; ")} (${((Date.now() - started) / 1000).toFixed(1)} s)`;
      if (problem !== undefined) failed += 1;
      console.log(problem === undefined ? `ok   ${named}` : `FAIL ${named}: ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE[kind] }, runSome));
  console.log(`${chosen.length - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 && chosen.length > 0 ? 0 : 1;
}

void main(process.argv.slice(2));
