import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileSink, standardOutput } from "./report-sink";

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

it("a file has no colour, whatever the environment asks for", () => {
  const sink = fileSink("/dev/null");
  expect(sink.colour).not.toBe(true);
  sink.close();
});

describe("standardOutput", () => {
  const { columns } = process.stdout;
  const environment = { ...process.env };
  afterEach(() => {
    process.stdout.columns = columns;
    process.env = environment;
  });

  it("in the lab's VM is what the host says of its terminal", () => {
    process.env = { VFIO_SELFTESTS_TERMINAL_COLUMNS: "72" };
    process.stdout.columns = 0;
    expect(standardOutput()).toMatchObject({ interactive: true, columns: 72, colour: true });
    process.env["CI"] = "true";
    expect(standardOutput()).toMatchObject({ interactive: false, colour: false });
  });

  it("has the terminal's width of the moment, and none where the terminal does not know it", () => {
    const sink = standardOutput();
    process.stdout.columns = 80;
    expect(sink.columns).toBe(80);
    process.stdout.columns = 40;
    expect(sink.columns).toBe(40);
    process.stdout.columns = 0;
    expect(sink.columns).toBeUndefined();
  });
});
