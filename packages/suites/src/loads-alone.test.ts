import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** What a vendor with drivers of their own installs: no driver, model or KVM package of ours. */
const INSTALLED = ["native", "core", "iommu-modes", "harness", "suites"];
const PACKAGES = join(__dirname, "../..");

let project: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "suites-alone-"));
  for (const name of INSTALLED) {
    // Copies, because a link would lead back to the workspace, where every package is.
    cpSync(join(PACKAGES, name), join(project, "node_modules/@vfio-selftests", name), {
      recursive: true,
      filter: (path) => !["node_modules", "src", "gyp", ".turbo"].includes(basename(path)),
    });
  }
});
afterAll(() => rmSync(project, { recursive: true }));

test("the suites load, and define their tests, where no driver, model or KVM package is installed", () => {
  const script = `
    const { DriverRegistry } = require("@vfio-selftests/core/driver");
    const { collectTests } = require("@vfio-selftests/harness");
    const { iommuModes } = require("@vfio-selftests/iommu-modes");
    const { UPSTREAM_IDS, defineSuites } = require("@vfio-selftests/suites");
    const target = { kind: "hardware", modes: iommuModes, devices: ["0000:01:00.0"], drivers: new DriverRegistry() };
    const ids = new Set(collectTests(() => defineSuites(target)).map(({ id }) => id));
    console.log(UPSTREAM_IDS.filter((id) => ids.has(id)).length, ids.has("kvm_irq_test.eventfd.irqs"));`;
  const output = execFileSync(process.execPath, ["-e", script], { cwd: project, encoding: "utf8" });
  expect(output).toBe("141 true\n");
});
