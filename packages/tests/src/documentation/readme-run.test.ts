import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../command-line/run-command";
import { notInLab } from "../not-in-lab";

const ROOT = join(__dirname, "../../../..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const PICTURE = "docs/public/run.svg";
const SCRIPT = "scripts/picture/record-run.cjs";

interface Recording {
  readonly COLUMNS: number;
  readonly TITLE: string;
  readonly quoteOf: (written: string) => string;
}
interface Drawing {
  readonly terminalSvg: (written: string, shape: { columns: number; rows: number; title: string }) => string;
}

/** The block of text after a mark of the README. */
function quotedAfter(mark: string): string {
  const [, quote] = new RegExp(`<!-- ${mark} -->\n\n\`\`\`\n([^]*?)\n\`\`\``).exec(README) ?? [];
  if (quote === undefined) throw new Error(`README.md quotes nothing after "${mark}"`);
  return quote;
}

const quote = quotedAfter("what the first prints at its end");

/** A report's lines without what differs from run to run: counts, times, the columns that fit them, and marks. */
function shapeOf(text: string): readonly string[] {
  return text.split("\n").map((line) =>
    line
      .replace(/(?<= )(?:\d+(?:\.\d+)?|-)(?: m?s)?(?= |$|\.$)/g, "N")
      .replace(/ [.sF]$/, " M")
      .replace(/\b\d+(?= (?:passed|failed|skipped))/g, "N")
      .replace(/ +/g, " "),
  );
}

it("the introduction has three sentences", () => {
  const [introduction = ""] = README.replace(/^# .*\n/, "").split("\n!");
  expect(introduction.match(/[.!?](?=\s|$)/g)).toHaveLength(3);
});

describe("the quoted end of a run", () => {
  notInLab();

  it("names_the_suites_that_the_command_runs", () => {
    const listed = runCommand(["run", "--list"]).out.matchAll(/^(?:model:\S+ )?([^. ]+)\./gm);
    const suites = [...new Set([...listed].map(([, suite]) => suite))];
    const table = /^By suite .*\n([^]*?)\n {2}\(by mode/m.exec(quote)?.[1] ?? "";
    expect(table.split("\n").map((line) => line.trim().split(" ")[0])).toEqual(suites);
  });

  it("is_of_the_shape_that_the_command_prints", () => {
    const { quoteOf } = jest.requireActual<Recording>(join(ROOT, SCRIPT));
    const printed = shapeOf(quoteOf(runCommand(["run", "-t", "vfio_pci_device_test"]).out));
    expect(printed.length).toBeGreaterThan(12);
    // A test on no device is in the whole run only, and its line makes no other one longer.
    expect(printed.filter((line) => !shapeOf(quote).includes(line))).toEqual([]);
    expect(printed.at(-1)).toBe("N passed, N failed, N skipped");
  });
});

it("the picture is drawn by the script that the README names, of the run that it quotes", () => {
  expect(README).toContain(`](${PICTURE})`);
  expect(README).toContain(`\`node ${SCRIPT}\``);
  const { COLUMNS, TITLE } = jest.requireActual<Recording>(join(ROOT, SCRIPT));
  const { terminalSvg } = jest.requireActual<Drawing>(join(ROOT, "scripts/picture/terminal-svg.cjs"));
  const withoutColour = (svg: string): string => svg.replace(/<\/?tspan[^>]*>/g, "");
  const picture = readFileSync(join(ROOT, PICTURE), "utf8");
  const rows = quote.split("\n").length;
  expect(withoutColour(picture)).toBe(terminalSvg(quote, { columns: COLUMNS, rows, title: TITLE }));
  expect(picture).toContain('<tspan fill="#7ee787">');
});

describe("the quoted end of the tests", () => {
  notInLab();

  it("is_of_the_shape_that_jest_and_turbo_print", () => {
    const lines = quotedAfter("what the second prints at its end").split("\n");
    const [, name = ""] = /^@vfio-selftests\/([\w-]+):test: /.exec(lines[0] ?? "") ?? [];
    expect(README).toContain(`\`test --filter @vfio-selftests/${name}\``);
    const { stderr } = spawnSync(process.execPath, [require.resolve("jest/bin/jest"), "--watchman=false"], {
      cwd: join(ROOT, "packages", name),
      encoding: "utf8",
    });
    const withoutNumbers = (line: string): string =>
      line.replace(/ +\d+(?:\.\d+)?/g, " N").replace(/, estimated.*/, "");
    const printed = stderr.slice(stderr.indexOf("Test Suites:")).trimEnd().split("\n");
    const prefix = `@vfio-selftests/${name}:test: `;
    const quoted = lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
    expect(quoted.map(withoutNumbers)).toEqual(printed.map(withoutNumbers));
    expect(lines.slice(quoted.length).map((line) => line.replace(/\d+(?:\.\d+)?/g, "N"))).toEqual([
      "",
      " Tasks:    N successful, N total",
      "Cached:    N cached, N total",
      "  Time:    Ns",
    ]);
  }, 120_000);
});
