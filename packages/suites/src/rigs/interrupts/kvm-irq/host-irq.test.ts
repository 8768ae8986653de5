import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { errorWithCode } from "@vfio-selftests/harness";
import { findHostIrq, hostIrqCounts, onlineCpus, parseCpuList } from "./host-irq";

/** As the kernel prints it; vector 10 and another device must not be taken for vector 1. */
const INTERRUPTS = `            CPU0       CPU1
   1:          0          9  IO-APIC    1-edge      i8042
  45:          0          0  IR-PCI-MSIX-0000:01:00.0   10-edge      vfio-msix[10](0000:01:00.0)
  46:          3          0  IR-PCI-MSIX-0000:02:00.0    1-edge      vfio-msix[1](0000:02:00.0)
  47:          0         12  IR-PCI-MSIX-0000:01:00.0    1-edge      vfio-msix[1](0000:01:00.0)
  48:          0          1  IR-PCI-MSI-0000:01:00.0    0-edge      vfio-msi[0](0000:01:00.0)
 NMI:          0          0  Non-maskable interrupts
`;

let root: string;
let paths: SystemPaths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "host-irq-"));
  paths = new SystemPaths(root);
  mkdirSync(paths.proc(), { recursive: true });
  writeFileSync(paths.proc("interrupts"), INTERRUPTS);
});
afterEach(() => rmSync(root, { recursive: true }));

describe("findHostIrq", () => {
  it("finds the line of exactly this device, kind and vector", () => {
    expect(findHostIrq("0000:01:00.0", "msix", 1, paths)).toBe(47);
    expect(findHostIrq("0000:01:00.0", "msix", 10, paths)).toBe(45);
    expect(findHostIrq("0000:01:00.0", "msi", 0, paths)).toBe(48);
  });

  it("says what it looked for", () => {
    expect(() => findHostIrq("0000:01:00.0", "msi", 1, paths)).toThrow("vfio-msi[1](0000:01:00.0)");
    expect(() => findHostIrq("0000:03:00.0", "msix", 1, paths)).toThrow(errorWithCode("ENOENT"));
  });
});

describe("hostIrqCounts", () => {
  it("gives a count for each CPU", () => {
    expect(hostIrqCounts(47, paths)).toEqual([0, 12]);
    expect(hostIrqCounts(4, paths)).toEqual([]);
  });
});

describe("CPU lists", () => {
  it.each([
    ["0", [0]],
    ["0-3", [0, 1, 2, 3]],
    ["0-1,4,6-7", [0, 1, 4, 6, 7]],
  ])("reads %s", (text, cpus) => {
    expect(parseCpuList(text)).toEqual(cpus);
  });

  it("takes the CPUs that are online", () => {
    mkdirSync(paths.sys("devices", "system", "cpu"), { recursive: true });
    writeFileSync(paths.sys("devices", "system", "cpu", "online"), "0,2-3\n");
    expect(onlineCpus(paths)).toEqual([0, 2, 3]);
  });
});
