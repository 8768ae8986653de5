import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notInLab } from "../not-in-lab";
import { PROGRAM, runCommand } from "./run-command";

/** Two tests on each of two models. They are quick and give the same result on every machine. */
const PATTERN = "vfio_pci_device_test[.](reset|validate_bars)";
const QUICK = ["run", "-d", "model:ioat,model:dsa", "-t", PATTERN];

describe("reports", () => {
  notInLab();

  it("human_ends_with_the_totals", () => {
    const { code, out } = runCommand(QUICK);
    expect(code).toBe(0);
    expect(out).toContain("the kernel's VFIO and IOMMU are not");
    expect(out).toContain("vfio-selftests lab run");
    expect(out.trimEnd().split("\n").at(-1)).toBe("4 passed, 0 failed, 0 skipped");
  });

  it("reader_that_is_late_gets_all", () => {
    const folder = mkdtempSync(join(tmpdir(), "late-reader-"));
    try {
      // A pipe that holds one page (F_SETPIPE_SZ): less than the list.
      const smallPipe = join(folder, "small-pipe.cjs");
      const native = JSON.stringify(require.resolve("@vfio-selftests/native"));
      writeFileSync(smallPipe, `require(${native}).native.fcntl(1, 1031, 4096);`);
      const command = `"${process.execPath}" --require "${smallPipe}" "${PROGRAM}" run --list; echo "exit $?"`;
      const listed = execFileSync("sh", ["-c", `{ ${command}; } | { sleep 2; cat; }`], { encoding: "utf8" });
      expect(listed.length).toBeGreaterThan(4096);
      expect(listed).toBe(`${runCommand(["run", "--list"]).out}exit 0\n`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("tap_is_alone_on_standard_output", () => {
    const { code, out, err } = runCommand([...QUICK, "--reporter", "tap"]);
    expect(code).toBe(0);
    const lines = out.trimEnd().split("\n");
    expect(lines.slice(0, 3)).toEqual(["TAP version 13", "1..4", "# Starting 4 tests from 2 test cases."]);
    expect(lines.filter((line) => line.startsWith("ok ")).map((line) => line.split(" ")[2])).toEqual([
      "vfio_pci_device_test.validate_bars",
      "vfio_pci_device_test.reset",
      "vfio_pci_device_test.validate_bars",
      "vfio_pci_device_test.reset",
    ]);
    expect(lines.every((line) => /^(TAP version 13|1\.\.4|#.*|ok \d+ .*)$/.test(line))).toBe(true);
    expect(lines.at(-1)).toBe("# Totals: pass:4 fail:0 xfail:0 xpass:0 skip:0 error:0");
    expect(err).toBe("4 passed, 0 failed, 0 skipped\n");
  });

  it("ktap_is_alone_on_standard_output", () => {
    const { code, out } = runCommand([...QUICK, "--reporter", "ktap"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^KTAP version 1\n1\.\.2\n# /);
    expect(out.match(/^ {4}ok .*$/gm)).toEqual([
      "    ok 1 model_ioat_vfio_pci_device_test.validate_bars",
      "    ok 2 model_ioat_vfio_pci_device_test.reset",
      "    ok 1 model_dsa_vfio_pci_device_test.validate_bars",
      "    ok 2 model_dsa_vfio_pci_device_test.reset",
    ]);
    expect(out.match(/^ok .*$/gm)).toEqual(["ok 1 model_ioat", "ok 2 model_dsa"]);
  });

  it("json_on_standard_output_is_one_object", () => {
    const { out } = runCommand([...QUICK, "--reporter", "json"]);
    const report = JSON.parse(out) as { totals: object; tests: { device: string; mode: string }[] };
    expect(report.totals).toEqual({ passed: 4, failed: 0, skipped: 0 });
    expect(new Set(report.tests.map(({ device }) => device))).toEqual(new Set(["model:ioat", "model:dsa"]));
    expect(new Set(report.tests.map(({ mode }) => mode))).toEqual(new Set(["vfio-user"]));
  });

  it("merged_shards_are_the_single_runs_report", () => {
    const directory = mkdtempSync(join(tmpdir(), "reports-"));
    try {
      const run = (name: string, ...options: string[]): string => {
        const file = join(directory, `${name}.json`);
        runCommand([...QUICK, ...options, "--reporter", "json", "--output", file]);
        return file;
      };
      const verdicts = (file: string): unknown => {
        const { tests, totals } = JSON.parse(readFileSync(file, "utf8")) as {
          tests: { id: string; device: string; mode: string; status: string }[];
          totals: object;
        };
        return { totals, tests: tests.map(({ id, device, mode, status }) => ({ id, device, mode, status })) };
      };
      const single = run("single");
      const shards = [1, 2, 3].map((index) => run(`shard-${index}`, "--shard", `${index}/3`));
      const merged = join(directory, "merged.json");
      // One shard is lost, and comes later.
      const [first = "", ...others] = shards;
      const without = runCommand(["report", "merge", ...others, "-o", merged]);
      expect(without.code).toBe(1);
      expect(without.out).toMatch(/^FAIL \S+ \S+: MISS: this test has no result: shard 1\/3 has no report$/m);
      expect(runCommand(["report", "merge", first, merged, "-o", merged]).code).toBe(0);
      expect(verdicts(merged)).toEqual(verdicts(single));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("output_takes_the_report_and_leaves_the_terminal_to_people", () => {
    const directory = mkdtempSync(join(tmpdir(), "reports-"));
    try {
      const file = join(directory, "report.xml");
      const { out } = runCommand([...QUICK, "--reporter", "junit", "--output", file]);
      expect(out).toContain("4 passed, 0 failed, 0 skipped");
      expect(readFileSync(file, "utf8")).toContain('name="model:ioat vfio_pci_device_test"');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("a_run_that_skips_everything_ends_with_4", () => {
    const { code, out } = runCommand(["run", "-d", "model:ioat", "-r", "vfio_pci_irq_test.msi.enable_trigger_disable"]);
    expect(code).toBe(4);
    expect(out).toContain("the device has no MSI\n    remedy: ");
  });

  it("list_shows_what_would_run", () => {
    const { code, out } = runCommand(["run", "-d", "model:ioat", "-t", PATTERN, "--list"]);
    expect(code).toBe(0);
    expect(out).toBe("vfio_pci_device_test.validate_bars\nvfio_pci_device_test.reset\n");
  });
});
