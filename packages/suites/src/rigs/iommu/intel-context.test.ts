import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { deviceTables, tablesOf } from "./intel-context";

const LEGACY = `IOMMU dmar0: Root Table Address: 0x102ac0000
B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry
00:02.0\t0x0000000000000000:0x0000000103512001\t0x0000000000000102:0x0000000103515001\t-1    \t0x0000000000000000:0x0000000000000000:0x0000000000000000
01:00.1\t0x0000000000000000:0x0000000103512001\t0x0000000000000302:0x0000000103517001\t-1    \t0x0000000000000000:0x0000000000000000:0x0000000000000000

`;
const SCALABLE = `IOMMU dmar0: Root Table Address: 0x102ac0000
B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry
01:00.0\t0x0000000000000000:0x0000000103512001\t0x0000000000000000:0x0000000103515001\t0     \t0x00000001035aa000:0x0000000000000003:0x0000000000000009
01:00.0\t0x0000000000000000:0x0000000103512001\t0x0000000000000000:0x0000000103515001\t7     \t0x0000000000000000:0x0000000000000004:0x00000001035bb08d

`;

describe("tablesOf", () => {
  it("finds the table of a device without PASIDs", () => {
    expect(tablesOf(LEGACY, "0000:01:00.1")).toEqual(["0x0000000103517001"]);
  });

  it("finds one for each PASID", () => {
    expect(tablesOf(SCALABLE, "0000:01:00.0")).toEqual([
      "0:0x00000001035aa000:0x0000000000000009",
      "7:0x0000000000000000:0x00000001035bb08d",
    ]);
  });

  it("finds none of a device that is blocked", () => {
    expect(tablesOf(LEGACY, "0000:01:00.0")).toEqual([]);
  });
});

describe("deviceTables", () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), "device-tables-"))));
  afterEach(() => rmSync(root, { recursive: true }));

  it("says why where the kernel shows no entries", () => {
    expect(deviceTables("0000:01:00.0", new SystemPaths(root))).toEqual({
      readable: false,
      reason: expect.stringContaining("INTEL_IOMMU_DEBUGFS") as string,
    });
  });

  it("reads the file", () => {
    const directory = join(root, "sys/kernel/debug/iommu/intel");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "dmar_translation_struct"), LEGACY);
    expect(deviceTables("0000:00:02.0", new SystemPaths(root))).toEqual({
      readable: true,
      tables: ["0x0000000103515001"],
    });
  });
});
