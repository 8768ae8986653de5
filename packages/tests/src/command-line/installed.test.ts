import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { notInLab } from "../not-in-lab";
import { runProgram } from "./run-command";

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}

/** pnpm lets NODE_PATH name the workspace's packages, which an empty folder does not have. */
const WITHOUT_NODE_PATH = { NODE_PATH: "" };
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

  it("runs_without_the_drivers_that_nobody_installed", () => {
    const project = mkdtempSync(join(tmpdir(), "installed-"));
    try {
      const modules = join(project, "node_modules");
      const cli = join(modules, "@vfio-selftests/cli");
      for (const part of ["package.json", "dist"]) cpSync(join(CLI, part), join(cli, part), { recursive: true });
      const { dependencies } = JSON.parse(readFileSync(join(CLI, "package.json"), "utf8")) as Manifest;
      const needed = Object.keys(dependencies);
      expect(needed.filter((name) => name.includes("/driver-"))).toEqual([]);
      for (const name of needed) symlinkSync(realpathSync(join(CLI, "node_modules", name)), join(modules, name));

      const test = "vfio_pci_driver_test.vfio-user.init_remove";
      const run = (...more: string[]) =>
        runProgram(join(cli, "dist/main.js"), ["run", "-d", "model:ioat", "-r", test, ...more], WITHOUT_NODE_PATH, {
          cwd: project,
        });
      const without = run();
      expect(without.out).toContain("npm install --save-dev @vfio-selftests/driver-ioat");
      expect(without.out).toContain("no driver serves the device (8086:2021)");
      expect(without.code).toBe(4);
      const named = run("--driver", "ioat");
      expect(named.err).toContain("Remedy: install it (npm install --save-dev @vfio-selftests/driver-ioat)");
      expect(named.code).toBe(1);

      symlinkSync(
        realpathSync(join(CLI, "node_modules/@vfio-selftests/driver-ioat")),
        join(modules, "@vfio-selftests/driver-ioat"),
      );
      expect(run()).toMatchObject({ code: 0, out: expect.stringContaining(`ok   ${test}`) as string });
    } finally {
      rmSync(project, { recursive: true });
    }
  });
});
