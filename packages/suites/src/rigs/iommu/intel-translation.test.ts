import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { translationOf } from "./intel-translation";
import { ioPageTableEntry } from "./io-page-table";

const FILE = `Device 0000:01:00.0 @0x102a8b000
IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE
0x0000000000001 |\t0x0000000000000000\t0x000000010a4c3003\t0x000000010a4c4003\t0x000000010a4c5003\t0x000000010a4c6003
0x0000000000200 |\t0x0000000000000000\t0x000000010a4c3003\t0x000000010a4c4003\t0x0000000040000083
0x0000000040000 |\t0x0000000000000000\t0x000000010a4c3003\t0x0000000080000081
`;

describe("translationOf", () => {
  it.each([
    ["4 KiB by its PTE", 0x1000n, { pageSize: 2 ** 12, physical: 0x1_0a4c_6000n, writable: true }],
    ["2 MiB by its PDE", 0x20_0000n, { pageSize: 2 ** 21, physical: 0x4000_0000n, writable: true }],
    ["1 GiB by its PDPE", 0x4000_0000n, { pageSize: 2 ** 30, physical: 0x8000_0000n, writable: false }],
    ["nothing", 0x2000n, undefined],
  ])("finds %s", (_, iova, translation) => {
    expect(translationOf([FILE], iova)).toEqual(translation);
  });

  it("does not mind where the pieces end, and takes no more than it needs", () => {
    let taken = 0;
    function* pieces() {
      for (let at = 0; at < FILE.length; at += 7) {
        taken += 1;
        yield FILE.slice(at, at + 7);
      }
    }
    expect(translationOf(pieces(), 0x20_0000n)?.pageSize).toBe(2 ** 21);
    expect(taken).toBeLessThan(FILE.length / 7 - 5);
  });
});

describe("ioPageTableEntry", () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), "page-table-"))));
  afterEach(() => rmSync(root, { recursive: true }));

  it("says why where the kernel shows no page table", () => {
    expect(ioPageTableEntry("0000:01:00.0", 0x1000n, new SystemPaths(root))).toEqual({
      readable: false,
      reason: expect.stringContaining("INTEL_IOMMU_DEBUGFS") as string,
    });
  });

  it("reads the device's file", () => {
    const directory = join(root, "sys/kernel/debug/iommu/intel/0000:01:00.0");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "domain_translation_struct"), FILE);
    const paths = new SystemPaths(root);
    expect(ioPageTableEntry("0000:01:00.0", 0x20_0000n, paths)).toEqual({
      readable: true,
      pageSize: 2 ** 21,
      physical: 0x4000_0000n,
      writable: true,
    });
    const missing = (kernel: string) => ioPageTableEntry("0000:02:00.0", 0x20_0000n, paths, kernel);
    expect(() => missing("6.7.1")).toThrow("ENOENT");
    // Before, one file had the tables of all devices.
    expect(missing("6.6.40")).toMatchObject({ readable: false });
  });
});
