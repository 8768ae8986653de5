import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { notInLab } from "../not-in-lab";
import { runProgram } from "./run-command";

const CLI = dirname(require.resolve("@vfio-selftests/cli/package.json"));

describe("installed", () => {
  notInLab();

  // By default jest ignores node_modules, but that is where the test files of an installed command are.
  it("runs_its_tests_from_node_modules", () => {
    const project = mkdtempSync(join(tmpdir(), "installed-"));
    try {
      const cli = join(project, "node_modules/@vfio-selftests/cli");
      for (const part of ["package.json", "dist"]) cpSync(join(CLI, part), join(cli, part), { recursive: true });
      symlinkSync(join(CLI, "node_modules"), join(cli, "node_modules"));
      const test = "vfio_pci_device_test.reset";
      const { code, out } = runProgram(join(cli, "dist/main.js"), ["run", "-d", "model:ioat", "-r", test]);
      expect(out).toContain(`ok   ${test}`);
      expect(code).toBe(0);
    } finally {
      rmSync(project, { recursive: true });
    }
  });
});
