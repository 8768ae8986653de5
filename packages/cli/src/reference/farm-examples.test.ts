import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { parseAllDocuments } from "yaml";
import { callsIn, parse } from "./testing/calls";

const ROOT = join(__dirname, "../../../..");
const GUIDE = "docs/guides/farms.md";
/** From the repository's root, as the other paths here. */
const FILES = [...filesIn("examples/farms"), ...filesIn(".github/workflows"), GUIDE];

function filesIn(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

/** The texts of a file that a shell gets. */
function shellTexts(path: string): readonly string[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  if (/\.ya?ml$/.test(path)) return yamlDocuments(path).flatMap(stringsOf);
  if (path.endsWith(".md")) return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, code = ""]) => code);
  return [text];
}

function yamlDocuments(path: string): readonly unknown[] {
  return parseAllDocuments(readFileSync(join(ROOT, path), "utf8"), { strict: true, uniqueKeys: true }).map(
    (document) => {
      expect([...document.errors, ...document.warnings]).toEqual([]);
      return document.toJS() as unknown;
    },
  );
}

function stringsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}

const CALLS = FILES.flatMap((path) =>
  shellTexts(path)
    .flatMap(callsIn)
    .map((words) => [path, words.join(" "), words] as const),
);

it("finds the calls of each engine", () => {
  const found = new Set(CALLS.map(([path]) => dirname(path)));
  const engines = ["github-actions", "kubernetes", "lava", "slurm"].map((name) => `examples/farms/${name}`);
  expect([...found].sort()).toEqual([".github/workflows", "docs/guides", ...engines].sort());
});

it.each(CALLS)("%s: %s is a command", async (_, _text, words) => {
  await parse(words);
});

it("a call with a wrong option would be found", async () => {
  await expect(parse(["run", "--shards", "1/2"])).rejects.toThrow(/unknown option/);
  await expect(parse(["run", "--shard", "3/2"])).rejects.toThrow(/part/);
});

it("every engine that installs the command installs a driver, too", () => {
  const installing = FILES.map((path) => ({
    path,
    installs: readFileSync(join(ROOT, path), "utf8").match(/npm install [^\n`]*@vfio-selftests\/cli[^\n`]*/g) ?? [],
  })).filter(({ installs }) => installs.length > 0);
  expect(installing.length).toBeGreaterThan(3);
  const without = installing.filter(
    ({ installs }) => !installs.some((line) => line.includes("@vfio-selftests/driver-")),
  );
  expect(without).toEqual([]);
});

it("the guide names every file, and no other", () => {
  const guide = readFileSync(join(ROOT, GUIDE), "utf8");
  const named = [...guide.matchAll(/\]\(\.\.\/\.\.\/(examples\/farms\/[^)]+)\)/g)].map(([, path]) => path);
  expect([...new Set(named)].sort()).toEqual([...filesIn("examples/farms")].sort());
});

it.each(FILES.filter((path) => path.endsWith(".sh")))("%s is shell", (path) => {
  expect(spawnSync("sh", ["-n", join(ROOT, path)], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});

describe("kubernetes", () => {
  it.each(FILES.filter((path) => path.includes("kubernetes")))("%s has a shard for each index", (path) => {
    const [job] = yamlDocuments(path) as { kind: string; spec: { completions: number; completionMode: string } }[];
    expect(job).toMatchObject({ kind: "Job", spec: { completionMode: "Indexed" } });
    const counts = [...readFileSync(join(ROOT, path), "utf8").matchAll(/INDEX \+ 1\)\)\/(\d+)/g)].map(([, count]) =>
      Number(count),
    );
    expect(counts).toEqual([job?.spec.completions]);
  });
});

describe("scripts", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "farm-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function program(name: string, script: string): void {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }

  function run(script: string, environment: NodeJS.ProcessEnv, input = "", words: readonly string[] = []) {
    const env = { PATH: `${folder}:${process.env["PATH"]}`, RESULTS: folder, ...environment };
    const { status, stdout } = spawnSync(join(ROOT, "examples/farms", script), words, { env, input, encoding: "utf8" });
    return { status, stdout };
  }

  it("lava: gives each test's result once, and a skip as a skip", () => {
    program("lava-test-case", 'echo "$@"');
    const ktap = [
      "KTAP version 1",
      "1..1",
      "  KTAP version 1",
      "  # Subtest: f",
      "  1..3",
      "  ok 1 f.a",
      "  #   ok 7 no result",
      "  not ok 2 f.b",
      "  ok 3 f.c # SKIP not ok 1 here",
      "not ok 1 f",
    ];
    const { stdout } = run("lava/send-results.sh", {}, `${ktap.join("\n")}\n`);
    expect(stdout).toBe("f.a --result pass\nf.b --result fail\nf.c --result skip\n");
  });

  it.each([
    ["has its name when the run has ended, and the run's status", 1, "report", 1, ["shard-2.json"]],
    ["is none where the run wrote none", 1, "", 1, ["shard-2.json.part"]],
    ["of skipped tests is no failed job", 4, "report", 0, ["shard-2.json"]],
  ])("slurm: a shard's report %s", (_, code, report, status, files) => {
    program("vfio-selftests", `for file; do :; done; printf '%s' '${report}' >"$file"; exit ${code}`);
    writeFileSync(join(folder, "matrix"), ". 1 run\n. 2 run\n");
    expect(run("slurm/shard.sh", { SLURM_ARRAY_TASK_ID: "2", SHARDS: "8" }).status).toBe(status);
    expect(readdirSync(folder).filter((name) => name.startsWith("shard"))).toEqual(files);
  });

  it("slurm: the array's index names the device, the mode, the kernel and the shard", () => {
    program("vfio-selftests", 'echo "$@"');
    // Runs the array's jobs, one after the other.
    program(
      "sbatch",
      `for word; do
  case $word in --array=*) list=\${word#--array=};; */shard.sh) job=$word;; esac
  shift
  [ "$word" = "\${job:-}" ] && break
done
for index in $(echo "$list" | tr , ' '); do SLURM_ARRAY_TASK_ID=$index "$job" "$@"; done`,
    );
    const axes = { DEVICES: "edu igb", MODES: "iommufd auto", KERNELS: "/k/7.3", SHARDS: "2", TRIES: "1" };
    const { stdout } = run("slurm/run-array.sh", axes, "", ["--full"]);
    const cells = ["edu,iommufd", "edu,auto", "igb,iommufd", "igb,auto"].map(
      (cell) => [cell, ...cell.split(",")] as const,
    );
    const jobs = cells.flatMap(([cell, device, mode]) =>
      ["1", "2"].map(
        (shard) =>
          `lab run --kernel /k/7.3 --device ${device} --mode ${mode} --full --shard ${shard}/2 --reporter json ` +
          `--output ${folder}/${cell},_k_7.3/shard-${shard}.json.part`,
      ),
    );
    const merges = cells.flatMap(([cell]) => [
      `${cell},_k_7.3:`,
      `report merge --output ${folder}/${cell},_k_7.3/merged.json ${folder}/${cell},_k_7.3/shard-*.json`,
    ]);
    expect(stdout.trim().split("\n")).toEqual(["submitting 1,2,3,4,5,6,7,8 of 8", ...jobs, ...merges]);
  });

  it.each([
    ["a failure", [0, 1, 4], 1],
    ["a wrong use", [2, 0, 4], 2],
    ["a pass where others ran nothing", [4, 0, 4], 0],
    ["nothing where none ran anything", [4, 4, 4], 4],
  ])("slurm: a matrix ends with %s", (_, codes, status) => {
    program("sbatch", "");
    program(
      "vfio-selftests",
      `case $4 in ${codes.map((code, index) => `*/d${index}/*) exit ${code};;`).join(" ")} esac`,
    );
    expect(run("slurm/run-array.sh", { DEVICES: "d0 d1 d2", TRIES: "1" }).status).toBe(status);
  });

  it("slurm: lost shards are submitted again, and the exit status is the merge's", () => {
    // The first array loses shards 2 and 4, the second shard 4 once more.
    program("vfio-selftests", "exit 1");
    program(
      "sbatch",
      `tries=$(cat "$RESULTS/tries" 2>/dev/null || echo 0)
for word; do case $word in --array=*) list=\${word#--array=};; esac; done
case $tries in 0) lose="2 4";; 1) lose=4;; *) lose=;; esac
for shard in $(echo "$list" | tr , ' '); do
  case " $lose " in *" $shard "*) ;; *) touch "$RESULTS/shard-$shard.json";; esac
done
echo $((tries + 1)) >"$RESULTS/tries"`,
    );
    const { status, stdout } = run("slurm/run-array.sh", { SHARDS: "4" });
    expect(stdout).toBe("submitting 1,2,3,4 of 4\nsubmitting 2,4 of 4\nsubmitting 4 of 4\n");
    expect(status).toBe(1);
  });
});
