import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileSink } from "./report-sink";

describe("fileSink", () => {
  it("empties the file, and adds to it", () => {
    const folder = mkdtempSync(join(tmpdir(), "report-sink-"));
    const path = join(folder, "report");
    writeFileSync(path, "old");
    const sink = fileSink(path);
    sink.write("a");
    sink.write("b");
    sink.close();
    expect(readFileSync(path, "utf8")).toBe("ab");
    rmSync(folder, { recursive: true });
  });

  it("says which file it cannot write, and why", () => {
    const sink = fileSink("/dev/full");
    expect(() => sink.write("a")).toThrow("cannot write the report to /dev/full: ENOSPC");
    sink.close();
    expect(() => fileSink("/nowhere/report")).toThrow("cannot write the report to /nowhere/report: ENOENT");
  });
});
