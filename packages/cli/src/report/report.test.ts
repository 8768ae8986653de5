import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommandLine } from "../command-line";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "report-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const log = jest.spyOn(console, "log").mockImplementation((text) => (out += `${String(text)}\n`));
  const stderr = jest.spyOn(process.stderr, "write").mockImplementation((text) => ((err += String(text)), true));
  try {
    return { code: await runCommandLine(args), out, err };
  } finally {
    log.mockRestore();
    stderr.mockRestore();
  }
}

const BENCH = {
  version: 1,
  date: "2026-11-22T03:00:00.000Z",
  node: "v22.1.0",
  cpu: "2 × Xeon",
  rounds: 1,
  results: [],
  distributions: [
    {
      ...{ where: "host", name: "eventfd wake-up", variant: "", unit: "µs", count: 1 },
      percentiles: { p50: 1, p90: 1, p99: 1, max: 1 },
      buckets: [{ from: 0.5, to: 1, count: 1 }],
    },
  ],
};

const DATABASE = {
  format: 2,
  lines: { "k/x.c": "1-2" },
  functions: {},
  machines: { "igb+intel": { "f.a": { "k/x.c": "1-2" }, "$ ./c-suite": { "k/x.c": "2" } } },
};

const PLANNED = ["f.iommufd.a", "f.iommufd.b"].map((id) => ({ id, mode: "iommufd" }));

/** Writes the report of a run of some of the two tests. By their hashes, `b` is in the first shard and `a` in the second. */
function write(name: string, tests: readonly string[], fields: object = {}): string {
  const path = join(folder, name);
  const report = {
    version: 1,
    target: [],
    started: "2026-11-22T03:00:00.000Z",
    durationMs: 5,
    errors: [],
    totals: { passed: tests.length, failed: 0, skipped: 0 },
    exitCode: 0,
    planned: PLANNED,
    tests: tests.map((id) => ({ id, mode: "iommufd", status: "passed", durationMs: 5 })),
    ...fields,
  };
  writeFileSync(path, JSON.stringify(report));
  return path;
}

function shard(index: number, ...tests: string[]): string {
  return write(`shard-${index}.json`, tests, { shard: { index, count: 2 } });
}

describe("report", () => {
  it("writes a page with a name for each file", async () => {
    const page = join(folder, "page.html");
    const { code, out } = await run("report", shard(1, "f.iommufd.b"), shard(2, "f.iommufd.a"), "-o", page);
    expect({ code, out }).toEqual({ code: 0, out: `wrote ${page}\n` });
    const text = readFileSync(page, "utf8");
    expect(text).toMatch(/^<!doctype html>/);
    for (const name of ["shard-1", "shard-2"]) expect(text).toContain(`>${name}`);
    expect(text).not.toContain(folder);
  });

  it("a bad file ends with 1, its name and the remedy, and leaves the older page", async () => {
    const page = join(folder, "page.html");
    writeFileSync(page, "older");
    const bad = write("bad.json", [], { speed: 1 });
    const { code, err } = await run("report", shard(1), bad, "-o", page);
    expect(code).toBe(1);
    expect(err).toContain(`cannot read the report ${bad}: speed is a field that this version does not know`);
    expect(err).toContain("Remedy: ");
    expect(readFileSync(page, "utf8")).toBe("older");
  });

  it("plots a benchmark's figures and tells coverage beside the tests, whatever the files' names", async () => {
    const page = join(folder, "page.html");
    const [bench, trace, database] = ["bench", "trace", "database"].map((name) => join(folder, name));
    writeFileSync(bench!, JSON.stringify(BENCH));
    writeFileSync(
      trace!,
      "TN:\nSF:/linux/drivers/a/x.c\nDA:1,1\nDA:2,0\nend_of_record\nSF:/linux/drivers/y.c\nDA:1,1\nend_of_record\n",
    );
    writeFileSync(database!, JSON.stringify(DATABASE));
    const { code } = await run("report", shard(1, "f.iommufd.b"), bench!, trace!, database!, "-o", page);
    expect(code).toBe(0);
    const text = readFileSync(page, "utf8")
      .replace(/<style>[^]*?<\/style>|<script>[^]*?<\/script>|<[^>]+>/g, " ")
      .replace(/\s+/g, " ");
    expect(text).toContain("eventfd wake-up");
    expect(text).toMatch(
      /trace Paths are below \/linux\/drivers\/ lines reached a 2 50\.0 %, 1 \. 1 100\.0 %, 1 Files \(2\)/,
    );
    expect(text).toMatch(/database Machines: igb\+intel lines tests commands k 2 100\.0 %, 2 50\.0 %, 1 Files \(1\)/);
  });

  it.each([
    ["a benchmark of another version", JSON.stringify({ ...{ rounds: 1 }, version: 9 }), "its version is 9"],
    ["a tracefile that is cut off", "TN:\nSF:a.c\nDA:1,1\n", "it ends within the record of a.c"],
    ["a database of another format", JSON.stringify({ format: 1, machines: {} }), "its format is 1"],
  ])("%s ends with 1, its name and the remedy", async (_, content, words) => {
    const bad = join(folder, "bad");
    writeFileSync(bad, content);
    const { code, err } = await run("report", bad, "-o", join(folder, "page.html"));
    expect(code).toBe(1);
    expect(err).toContain(`cannot read the report ${bad}: ${words}`);
    expect(err).toContain("Remedy: ");
    expect(() => readFileSync(join(folder, "page.html"))).toThrow("ENOENT");
  });

  it("no file is wrong usage", async () => {
    expect((await run("report")).code).toBe(2);
    expect((await run("report", "merge")).code).toBe(2);
  });
});

describe("report compare", () => {
  it("tells in what the reports differ, by their files' names", async () => {
    const failed = { id: "f.iommufd.b", mode: "iommufd", status: "failed", durationMs: 5, failures: ["it broke"] };
    const passed = { id: "f.iommufd.a", mode: "iommufd", status: "passed", durationMs: 5 };
    const good = write("good.json", ["f.iommufd.a", "f.iommufd.b"]);
    const { code, out } = await run("report", "compare", good, write("bad.json", [], { tests: [passed, failed] }));
    expect(code).toBe(0);
    expect(out).toContain("  1  good ");
    expect(out).toMatch(/^ {2}f\.iommufd\.b +\.F\n {6}2: it broke$/m);
    expect(out).toMatch(/^1 of 2 tests have the same result/m);
  });

  it("no file is wrong usage, and a bad one an error", async () => {
    expect((await run("report", "compare")).code).toBe(2);
    expect((await run("report", "compare", join(folder, "none.json"))).code).toBe(1);
  });
});

describe("report merge", () => {
  it("ends with the totals and the run's exit code", async () => {
    const merged = join(folder, "merged.json");
    const { code, out } = await run("report", "merge", shard(2, "f.iommufd.a"), shard(1, "f.iommufd.b"), "-o", merged);
    expect({ code, out }).toEqual({ code: 0, out: `wrote ${merged}\n2 passed, 0 failed, 0 skipped\n` });
    const { tests } = JSON.parse(readFileSync(merged, "utf8")) as { tests: { id: string }[] };
    expect(tests.map(({ id }) => id)).toEqual(PLANNED.map(({ id }) => id));
  });

  it("names what a lost shard would have run, and ends with 1; its report completes the merge in place", async () => {
    const merged = join(folder, "merged.json");
    const first = await run("report", "merge", shard(1, "f.iommufd.b"), "-o", merged);
    expect(first.code).toBe(1);
    expect(first.out).toBe(
      "FAIL f.iommufd.a: MISS: this test has no result: shard 2/2 has no report\n" +
        `wrote ${merged}\n1 passed, 1 failed, 0 skipped\n`,
    );
    const second = await run("report", "merge", merged, shard(2, "f.iommufd.a"), "-o", merged);
    expect(second.code).toBe(0);
    expect(second.out).toContain("2 passed, 0 failed, 0 skipped\n");
  });

  it("ends with 4 where nothing ran", async () => {
    const nothing = write("empty.json", [], { planned: [] });
    expect((await run("report", "merge", nothing, "-o", join(folder, "merged.json"))).code).toBe(4);
  });

  it("reports of different runs end with 1 and write nothing", async () => {
    const merged = join(folder, "merged.json");
    const { code, err } = await run("report", "merge", shard(1, "f.iommufd.b"), write("whole.json", []), "-o", merged);
    expect(code).toBe(1);
    expect(err).toContain("are not of one run: number of shards 2 and 1");
    expect(() => readFileSync(merged)).toThrow("ENOENT");
  });
});

describe("report kcidb", () => {
  it("writes a submission", async () => {
    const file = join(folder, "kcidb.json");
    const merged = write("merged.json", ["f.iommufd.a", "f.iommufd.b"]);
    const { code, out } = await run("report", "kcidb", merged, "--origin", "farm", "--build", "maestro:1", "-o", file);
    expect({ code, out }).toEqual({ code: 0, out: `wrote ${file}\n` });
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
      version: { major: 5, minor: 3 },
      tests: [
        { path: "vfio_selftests.f.iommufd.a", status: "PASS", build_id: "maestro:1" },
        { path: "vfio_selftests.f.iommufd.b", status: "PASS", build_id: "maestro:1" },
      ],
    });
  });

  it.each([
    [["--origin", "Farm"], "letters, digits and _"],
    [["--build", "1"], "an origin and an id"],
  ])("refuses %j", async (args, words) => {
    const { code, err } = await run("report", "kcidb", "x.json", ...args);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(words) as string });
  });
});
