import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { restoreMachine } from "./restore-machine";

let paths: SystemPaths;
beforeEach(() => {
  paths = new SystemPaths(mkdtempSync(join(tmpdir(), "restore-")));
});
afterEach(() => rmSync(paths.root, { recursive: true }));

describe("restore", () => {
  it("says that there is nothing to do", () => {
    const lines: string[] = [];
    expect(restoreMachine((line) => lines.push(line), paths)).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^nothing/)]);
  });

  it("puts back what a dead process left changed, and fails when it cannot", () => {
    const lines: string[] = [];
    const numVfs = join(paths.root, "sriov_numvfs");
    writeFileSync(numVfs, "1\n");
    mkdirSync(paths.runtime("changes"), { recursive: true });
    // No process has this id: PIDs end at 2^22 (PID_MAX_LIMIT).
    writeFileSync(paths.runtime("changes", "99999999-1-abcd"), `${numVfs}||0\n${paths.root}||x\n`);
    expect(restoreMachine((line) => lines.push(line), paths)).toBe(1);
    expect(readFileSync(numVfs, "utf8")).toBe("0\n");
    expect(lines).toEqual([
      `${numVfs} is 0 again`,
      expect.stringContaining(`cannot write "x" to ${paths.root}: EISDIR`),
    ]);
  });
});
