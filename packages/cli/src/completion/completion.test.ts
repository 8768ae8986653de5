import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS } from "../commands";
import { bashCompletion } from "./bash-completion";
import { type CompletedCommand, completedCommands } from "./completed-command";
import { fishCompletion } from "./fish-completion";
import { zshCompletion } from "./zsh-completion";

const DEVICES = ["0000:01:00.0", "0000:01:00.1", "0001:02:00.0"];

let commands: readonly CompletedCommand[];
let folder: string;
beforeAll(async () => {
  commands = await completedCommands(COMMANDS);
  folder = mkdtempSync(join(tmpdir(), "completion-"));
  for (const name of ["report-a.json", "report b.json"]) writeFileSync(join(folder, name), "");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Whether a program can be started; the title of a test that needs it says what to do. */
function has(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

function withProgram(program: string, title: string, body: () => void): void {
  if (has(program)) it(title, body);
  else it.skip(`${title} (skipped: there is no ${program}; install it)`, body);
}

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** The script with devices of our own in the place of the machine's. */
function bashScript(): string {
  return `${bashCompletion(commands)}\n_vfio_selftests_devices() { printf '%s\\n' ${DEVICES.join(" ")}; }\n`;
}

describe("bash", () => {
  /** What bash offers for a line whose end is the cursor. */
  function complete(line: string): string[] {
    // Bash has set these when it calls the function.
    const script = `${bashScript()}
      COMP_LINE=$1 COMP_POINT=\${#1}
      _vfio_selftests
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", script, "bash", `vfio-selftests ${line}`], {
      encoding: "utf8",
      cwd: folder,
    });
    expect(stderr).toBe("");
    return stdout.split("\n").filter((word) => word !== "");
  }

  it("knows every command, and the second words of those with two", () => {
    const first = [...new Set(COMMANDS.map(({ name }) => name.split(" ")[0] ?? ""))];
    expect(complete("").toSorted()).toEqual(first.toSorted());
    expect(complete("la")).toEqual(["lab"]);
    expect(complete("lab ").toSorted()).toEqual(
      COMMANDS.flatMap(({ name }) => (name.startsWith("lab ") ? [name.slice(4)] : [])).toSorted(),
    );
    expect(complete("lab b")).toEqual(["bisect"]);
  });

  it.each(COMMANDS.map(({ name }) => name))("knows the options of %s, and of no other command", (name) => {
    const own = commands.find((command) => command.name === name)?.options.flatMap(({ names }) => names) ?? [];
    expect(complete(`${name} -`).toSorted()).toEqual([...own].toSorted());
  });

  it.each([
    ["run --reporter ", ["default", "tap", "ktap", "json", "junit"]],
    ["run --reporter j", ["json", "junit"]],
    ["run --reporter=j", ["json", "junit"]],
    ["run --repo", ["--reporter"]],
    ["run --bind --reporter tap --verb", ["--verbose"]],
    ["run --mode iommufd vfio_type1_", ["vfio_type1_iommu"]],
    ["run --mode iommufd,au", ["iommufd,auto"]],
    ["run --mode=iommufd,au", ["iommufd,auto"]],
    ["lab run --iommu a", ["amd"]],
    ["lab run -d ig", ["igb", "igb-hotplug"]],
    ["lab run --with kas", ["kasan"]],
    ["lab run --cpus ", []],
    ["completion ", ["bash", "zsh", "fish"]],
    ["report merge report-", ["report-a.json"]],
    ["run --output report", ["report b.json", "report-a.json"]],
    ["exec -d 0001:02:00.0 -- report-", []],
    ["exec -d 0001:02:00.0 -- cat report-", ["report-a.json"]],
    ["nonsense ", []],
  ])("completes %j", (line, expected) => {
    expect(complete(line).toSorted()).toEqual(expected.toSorted());
  });

  it("completes addresses, of which bash replaces only what follows the last colon", () => {
    expect(complete("run -d ")).toEqual(DEVICES);
    expect(complete("run -d 0001")).toEqual(["0001:02:00.0"]);
    expect(complete("run -d 0001:02:00.0 0000:01:")).toEqual(["00.0", "00.1"]);
    expect(complete("run --device=0001:0")).toEqual(["02:00.0"]);
    expect(complete("bind 0001:")).toEqual(["02:00.0"]);
    expect(complete("run -d 0000:01:00.0,0001")).toEqual(["00.0,0001:02:00.0"]);
  });

  it("offers programs after the dashes", () => {
    expect(complete("exec -d 0001:02:00.0 -- bas")).toContain("bash");
    expect(complete("exec -d 0001:02:00.0 -- sh -")).toEqual([]);
  });

  withProgram("script", "works at the prompt, where Tab replaces words as bash breaks them", () => {
    write(
      "rc",
      `${bashScript()}\nvfio-selftests() { printf '<%s>' "$@" >>${join(folder, "typed")}; echo >>${join(folder, "typed")}; }\nPS1=\n`,
    );
    const keys = [
      "vfio-selftests exe\t-d 0001\t-- true\n",
      "vfio-selftests run --device=0001:\t--repo\tju\t\n",
      "exit\n",
    ];
    const { status } = spawnSync(
      "script",
      ["-qec", `bash --noprofile --rcfile ${join(folder, "rc")} -i`, "/dev/null"],
      {
        input: keys.join(""),
        cwd: folder,
        env: { ...process.env, TERM: "dumb", INPUTRC: "/dev/null" },
        timeout: 30_000,
      },
    );
    expect(status).toBe(0);
    const typed = spawnSync("cat", [join(folder, "typed")], { encoding: "utf8" }).stdout;
    expect(typed).toBe("<exec><-d><0001:02:00.0><--><true>\n<run><--device=0001:02:00.0><--reporter><junit>\n");
  });
});

describe("zsh", () => {
  it("has every command with its options", () => {
    const script = zshCompletion(commands);
    for (const { name, options } of commands) {
      const branch = script.split("\n    ").find((part) => part.startsWith(`'${name}')\n      _arguments`)) ?? script;
      for (const { names } of options) for (const option of names) expect(branch).toContain(option);
    }
  });

  withProgram("zsh", "is right to zsh", () => {
    const path = write("_vfio-selftests", zshCompletion(commands));
    const { status, stderr } = spawnSync("zsh", ["-n", path], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  withProgram(
    has("script") ? "zsh" : "script",
    "completes commands, options, values and addresses at the prompt",
    () => {
      const script = write("completion.zsh", zshCompletion(commands));
      const typed = join(folder, "typed-in-zsh");
      write(
        ".zshrc",
        `PS1=
autoload -Uz compinit
compinit -u -D
source ${script}
_vfio_selftests_devices() { local -a found=(${DEVICES.join(" ")}); compset -P '*,'; compadd -a found }
vfio-selftests() { printf '<%s>' "$@" >>${typed}; echo >>${typed} }
`,
      );
      const keys = [
        "vfio-selftests exe\t-d 0001\t-- true\n",
        "vfio-selftests run --device=0001\t--repo\tju\t\n",
        "vfio-selftests lab run --iommu a\t\n",
        "exit\n",
      ];
      const { status } = spawnSync("script", ["-qec", "zsh -i", "/dev/null"], {
        input: keys.join(""),
        cwd: folder,
        env: { ...process.env, TERM: "dumb", ZDOTDIR: folder },
        timeout: 30_000,
      });
      expect(status).toBe(0);
      expect(readFileSync(typed, "utf8").split("\n")).toEqual([
        "<exec><-d><0001:02:00.0><--><true>",
        "<run><--device=0001:02:00.0><--reporter=junit>",
        "<lab><run><--iommu><amd>",
        "",
      ]);
    },
  );
});

describe("fish", () => {
  it("has every command with its options", () => {
    const lines = fishCompletion(commands).split("\n");
    for (const { name, options } of commands) {
      const own = lines.filter((line) => line.includes(`'__vfio_selftests_at \\'${name}\\''`)).join("\n");
      for (const { names } of options) expect(own).toContain(`-l ${names.at(-1)?.slice(2) ?? ""}`);
    }
  });

  withProgram("fish", "completes commands, options and values", () => {
    const path = write("completion.fish", fishCompletion(commands));
    const complete = (line: string): string[] => {
      const script = `source ${path}; complete -C ${JSON.stringify(`vfio-selftests ${line}`)}`;
      const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", script], { encoding: "utf8", cwd: folder });
      expect(stderr).toBe("");
      return stdout
        .split("\n")
        .flatMap((word) => word.split("\t")[0] ?? [])
        .filter((word) => word !== "");
    };
    expect(complete("la")).toEqual(["lab"]);
    expect(complete("lab bi")).toEqual(["bisect"]);
    expect(complete("lab run --iommu a")).toEqual(["amd"]);
    expect(complete("run --repo")).toEqual(["--reporter"]);
    expect(complete("run --bind --reporter j").toSorted()).toEqual(["json", "junit"]);
    expect(complete("report merge report-")).toEqual(["report-a.json"]);
  });
});
