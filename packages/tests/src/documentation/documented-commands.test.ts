import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { notInLab } from "../not-in-lab";
import { pagesBelow } from "./pages-below";

const ROOT = join(__dirname, "../../../..");
const FOLDER = ".ci/documented-commands";
/** Two at once, on a busy machine. */
const TIMEOUT_MS = 600_000;

interface Sessions {
  readonly sessions: readonly { readonly commands: readonly string[] }[];
}

/** Each documented command is in one of these. */
interface Classes {
  /** Runs below, without a device. */
  readonly here: Sessions;
  /** Run by `.ci/nightly`: inside of a VM, and on the host, where they start VMs. */
  readonly guest: Sessions;
  readonly lab: Sessions;
  /** Run by `.ci/source-commands`, which makes the kernel tree that they take. */
  readonly source: Sessions;
  /** Run by another script or test. `as` is how it has the command, where that is not as documented. */
  readonly scripts: readonly { readonly by: string; readonly as?: string; readonly commands: readonly string[] }[];
  /** Run by nobody. */
  readonly elsewhere: readonly { readonly reason: string; readonly commands: readonly string[] }[];
}

const classes = JSON.parse(readFileSync(join(ROOT, FOLDER, "commands.json"), "utf8")) as Classes;
const classified = [
  ...[classes.here, classes.guest, classes.lab, classes.source].flatMap(({ sessions }) => sessions),
  ...classes.scripts,
  ...classes.elsewhere,
].flatMap(({ commands }) => commands);

/** Every page for people, but the one that is made of the commands' own table, which has no examples. */
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  ...pagesIn("docs"),
  ...pagesIn("packages"),
  ...pagesIn("examples"),
].filter((page) => page !== "docs/commands.md");

function pagesIn(folder: string): readonly string[] {
  return pagesBelow(join(ROOT, folder))
    .filter((name) => !/(^|[/])(dist|etc|templates|[.]vitepress)[/]/.test(name))
    .map((name) => `${folder}/${name}`);
}

/** The commands of a block of shell. Those after `cd FOLDER` stand with it: they mean that folder. */
function commandsIn(code: string): readonly string[] {
  const lines = code.replace(/\\\n\s*/g, "").split("\n");
  const commands = lines.flatMap((line) => line.replace(/(^|\s)#.*$/, "").split(" && "));
  let place = "";
  return commands.flatMap((command) => {
    const text = asCalled(command.trim());
    if (text.startsWith("cd ")) place = `${text} && `;
    return text === "" || text.startsWith("cd ") ? [] : [`${place}${text}`];
  });
}

/** The command by its own name, however a page calls it. The tests run as root, where they need that. */
function asCalled(command: string): string {
  return command
    .replace(/\bsudo /g, "")
    .replace(/\bnpx -y pnpm@\S+/g, "pnpm")
    .replace(/\b(?:pnpm vfio|npx vfio-selftests|npx @vfio-selftests\/cli)\b/g, "vfio-selftests");
}

const documented = new Set(
  PAGES.flatMap((page) =>
    [...readFileSync(join(ROOT, page), "utf8").matchAll(/^```(?:sh|console|bash)\n([^]*?)^```$/gm)].flatMap(
      ([, code = ""]) => commandsIn(code),
    ),
  ),
);

/** A script's text with the commands as the classes have them. */
function scriptText(path: string): string {
  const text = readFileSync(join(ROOT, path), "utf8");
  return asCalled(text.replaceAll('"${pnpm[@]}"', "pnpm").replaceAll('"${vfio[@]}"', "vfio-selftests"));
}

describe("documented_commands", () => {
  notInLab();

  it("reads_a_block_as_a_shell_does", () => {
    const code = "pnpm lint && sudo pnpm vfio list # all\ncd a\nA=1 npx vfio-selftests run \\\n  -t b\n\n# nothing\n";
    expect(commandsIn(code)).toEqual(["pnpm lint", "vfio-selftests list", "cd a && A=1 vfio-selftests run -t b"]);
  });

  it("each_is_in_one_class", () => {
    expect(documented.size).toBeGreaterThan(100);
    // A new one: put it into a class of .ci/documented-commands/commands.json.
    expect([...documented].filter((command) => !classified.includes(command))).toEqual([]);
    expect(classified.filter((command) => !documented.has(command))).toEqual([]);
    expect(classified.filter((command, index) => classified.indexOf(command) !== index)).toEqual([]);
  });

  it("what_runs_nowhere_has_a_reason", () => {
    expect(classes.elsewhere.filter(({ reason }) => reason.length < 10)).toEqual([]);
  });

  it("what_another_script_runs_is_in_that_script", () => {
    const absent = classes.scripts.flatMap(({ by, as, commands }) =>
      commands.filter((command) => !scriptText(by).includes(as ?? command)).map((command) => `${by}: ${command}`),
    );
    expect(absent).toEqual([]);
  });

  it("nightly_runs_those_that_need_a_kernel", () => {
    const nightly = scriptText(".ci/nightly");
    expect(nightly).toContain(`-- node ${FOLDER}/run.cjs guest`);
    expect(nightly).toContain(`node ${FOLDER}/run.cjs lab`);
    expect(nightly).toContain("bash .ci/source-commands");
    expect(scriptText(".ci/source-commands")).toContain(`node ${FOLDER}/run.cjs source`);
  });

  it(
    "those_without_a_device_do_what_they_say",
    () => {
      const program = join(ROOT, FOLDER, "run.cjs");
      const { status, stdout } = spawnSync(process.execPath, [program, "here"], { encoding: "utf8" });
      // A failure shows all of its output.
      expect(stdout.split(/^(?=ok |FAIL )/m).filter((part) => part.startsWith("FAIL "))).toEqual([]);
      expect(stdout).toContain(`\n${classes.here.sessions.length} passed, 0 failed, 0 skipped\n`);
      expect(status).toBe(0);
    },
    TIMEOUT_MS,
  );
});
