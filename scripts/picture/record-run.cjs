// Records a real run of all suites on the models, on a pseudo terminal of 80 columns, and makes of it what the README shows: the
// picture docs/public/run.svg, and the last lines as text.
//
//   pnpm build && node scripts/picture/record-run.cjs
"use strict";

const { spawnSync } = require("node:child_process");
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { dirname, join } = require("node:path");
const { terminalSvg } = require("./terminal-svg.cjs");

const ROOT = join(__dirname, "../..");
const PICTURE = join(ROOT, "docs/public/run.svg");
const README = join(ROOT, "README.md");
const COLUMNS = 80;
const TITLE = "The end of a terminal run on the device models: pnpm vfio run";

/** All that `vfio run` writes to a terminal. The recorder's own environment neither forbids colour nor names devices. */
function recordRun() {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:VFIO_SELFTESTS_.*|CI|NO_COLOR|FORCE_COLOR)$/.test(name),
  );
  const state = mkdtempSync(join(tmpdir(), "recorded-run-"));
  try {
    const command = `stty cols ${COLUMNS}; '${process.execPath}' '${join(ROOT, "packages/cli/dist/main.js")}' run`;
    const { status, stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...Object.fromEntries(inherited), TERM: "xterm", XDG_STATE_HOME: state },
    });
    if (status !== 0) throw new Error(`the run ended with ${status}, and a picture of it would mislead:\n${stdout}`);
    return stdout;
  } finally {
    rmSync(state, { recursive: true });
  }
}

/** The table by mode and all after it, as a reader without colour sees it. */
function quoteOf(written) {
  const text = written.replaceAll("\r\n", "\n").replace(/\u001b\[\d*[mK]|\r/g, "");
  return text.slice(text.indexOf("\nBy mode\n") + 1).trimEnd();
}

/** Replaces the block of text below the command. */
function withQuote(readme, quote) {
  const block = /(?<=<!-- what the first prints at its end -->\n\n```\n)[^]*?(?=\n```)/;
  if (!block.test(readme)) throw new Error("README.md has no place for the run's last lines");
  return readme.replace(block, () => quote);
}

function main() {
  const written = recordRun();
  const rows = quoteOf(written).split("\n").length;
  mkdirSync(dirname(PICTURE), { recursive: true });
  writeFileSync(PICTURE, terminalSvg(written, { columns: COLUMNS, rows, title: TITLE }));
  writeFileSync(README, withQuote(readFileSync(README, "utf8"), quoteOf(written)));
}

if (require.main === module) main();

module.exports = { TITLE, COLUMNS, quoteOf };
