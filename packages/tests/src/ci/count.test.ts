import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UPSTREAM_IDS } from "@vfio-selftests/suites/upstream-ids";
import { notInLab } from "../not-in-lab";

notInLab();

const COUNT = join(__dirname, "../../../../.ci/count.cjs");

interface Step {
  readonly name: string;
  readonly kind: "tests" | "whole" | "check" | "optional" | "mutants";
  readonly status?: number;
  readonly log: string;
}

/** Runs the count on these steps of a CI run, in which all upstream ids passed. Gives its exit status and its lines. */
function count(...steps: readonly Step[]): { status: number | null; lines: string[] } {
  const directory = mkdtempSync(join(tmpdir(), "ci-count-"));
  try {
    const passed = { tests: [...UPSTREAM_IDS, ...UPSTREAM_IDS].map((id) => ({ id, status: "passed" })) };
    for (const report of ["lab-suites.json", "lab-models.json"]) {
      writeFileSync(join(directory, report), JSON.stringify(passed));
    }
    for (const { name, log } of steps) writeFileSync(join(directory, `${name}.log`), log);
    const table = steps.map(({ name, kind, status = 0 }) => `${name} ${kind} ${status} 60\n`);
    writeFileSync(join(directory, "steps"), table.join(""));
    const { status, stdout } = spawnSync(process.execPath, [COUNT, directory], { encoding: "utf8" });
    return { status, lines: stdout.trimEnd().split("\n") };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

it("adds up jest's summaries, ours, and one for each check", () => {
  const { status, lines } = count(
    {
      name: "test",
      kind: "tests",
      log: "core:test: Tests:       1 skipped, 7 passed, 8 total\nlab:test: 5 passed, 0 failed, 2 skipped\n",
    },
    { name: "lint", kind: "check", log: "" },
  );
  expect(lines.at(-1)).toBe("13 passed, 0 failed, 3 skipped");
  expect(status).toBe(0);
});

it("fails for a step of tests that ran none", () => {
  const { status, lines } = count({ name: "models", kind: "tests", log: "" });
  expect(lines).toContain("not as expected: models: no test passed (0 summaries seen)");
  expect(status).toBe(1);
});

it("quotes the last lines of a check that failed and names no failure as a test does", () => {
  const log =
    "17 packages are in order\ncore.api.md is not the report\n ELIFECYCLE  Command failed with exit code 1.\n";
  const { lines } = count({ name: "check-packages", kind: "check", status: 1, log });
  expect(lines).toContain("    core.api.md is not the report");
});

it("fails for a step of the kind whole in which a test skipped", () => {
  const log = "Tests:       1 skipped, 4 passed, 5 total\n";
  const { status, lines } = count({ name: "kernel-drivers", kind: "whole", log });
  expect(lines).toContain("not as expected: kernel-drivers: 1 skipped, where each must run");
  expect(status).toBe(1);
  expect(count({ name: "kernel-drivers", kind: "whole", log: "Tests:       5 passed, 5 total\n" }).status).toBe(0);
});

it.each(["optional", "mutants"] as const)("lets a step of the kind %s run none", (kind) => {
  const { status } = count({ name: "extra", kind, log: "extra: not run: there is no kernel for it\n" });
  expect(status).toBe(0);
});

describe("known mutants", () => {
  // A run of tests on a mutant ends with our closing line, in which the test that notices it has failed.
  const onMutants = "0 passed, 1 failed, 0 skipped\n1 passed, 4 failed, 0 skipped\n";

  it("count by the mutants that are noticed, not by the tests that fail with them", () => {
    const { status, lines } = count({
      name: "mutants",
      kind: "mutants",
      log: `${onMutants}9 of 9 known mutants noticed\n`,
    });
    expect(lines.at(-1)).toBe("9 passed, 0 failed, 0 skipped");
    expect(status).toBe(0);
  });

  it("that are no longer noticed fail, and are quoted", () => {
    const lost = "no longer noticed: drivers/vfio/group.c:12 vfio_group_open: lock-dropped\n";
    const log = `${onMutants}${lost}8 of 9 known mutants noticed\n`;
    const { status, lines } = count({ name: "mutants", kind: "mutants", status: 1, log });
    expect(lines.join("\n")).toContain(`    ${lost}`);
    expect(lines.at(-1)).toBe("8 passed, 1 failed, 0 skipped");
    expect(status).toBe(1);
  });
});
