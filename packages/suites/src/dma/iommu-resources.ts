import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { eachMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceTables } from "../rigs/iommu/intel-context";
import { machineCounters } from "../rigs/memory/machine-counters";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const PAGE = BigInt(PAGE_SIZE);
const BASE = 0x4000_0000n;
/** Far enough from each other to need tables of their own, one and two levels above the last. */
const STRIDE = 1n << 31n;
const ROUNDS = 12;

/** What the IOMMU's driver takes for an address space, and gives back: memory of page tables, numbers of domains. */
export function iommuResourcesSuite(target: SuiteTarget): void {
  fixture("vfio_iommu_resources", target, (address) => {
    eachMode(target, (mode) => {
      it("tables_go_with_what_was_mapped", () => {
        using memory = DmaMemory.allocate(4 * MIB);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        // A page beside the boundary, the memory can have no huge pages in the table, so a table of its own is in the middle.
        const mapAndUnmap = () => iommu.map(memory, { iova: BASE + PAGE }).unmap();
        mapAndUnmap();
        const before = tablePages();
        for (let round = 0; round < ROUNDS; round++) mapAndUnmap();
        expect(tablePages() - before).toBeLessThan(ROUNDS / 2);
      });

      it("tables_go_with_their_address_space", () => {
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const use = () => {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const before = tablePages();
          for (let place = 0n; place < 4n; place++) iommu.map(memory, { iova: BASE + place * STRIDE });
          return tablePages() - before;
        };
        use();
        const before = tablePages();
        const taken = Array.from({ length: ROUNDS }, use);
        // Each place took tables, so the counter counts.
        expect(Math.min(...taken)).toBeGreaterThan(0);
        expect(tablePages() - before).toBeLessThan(ROUNDS / 2);
      });

      it("host_has_its_page_table_again", () => {
        const before = tables(address);
        for (let round = 0; round < 2; round++) {
          {
            using iommu = new Iommu(mode.open());
            using _device = PciDevice.open(iommu, address);
            const [during, ...others] = tables(address);
            expect(others).toEqual([]);
            expect(during).not.toBe(before[0]);
          }
          expect(tables(address)).toEqual(before);
        }
      });

      it("domain_numbers_go_with_the_address_space", () => {
        const use = () => {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          return domainsUsed(address);
        };
        use();
        const before = domainsUsed(address);
        const during = Array.from({ length: ROUNDS }, use);
        expect(during).toEqual(during.map(() => during[0]));
        expect(domainsUsed(address)).toBe(before);
      });
    });
  });
}

/** Pages of the IOMMUs' page tables in the whole machine (drivers/iommu/iommu-pages.c). */
function tablePages(): number {
  const [pages = NaN] = machineCounters("nr_iommu_pages");
  if (!Number.isNaN(pages)) return pages;
  skip({ reason: "/proc/vmstat has no nr_iommu_pages", remedy: "use Linux 6.10 or newer" });
}

/** The page tables to which the IOMMU leads the device. */
function tables(address: string): readonly string[] {
  const answer = deviceTables(address);
  if (answer.readable) return answer.tables;
  skip({ reason: answer.reason, remedy: "use the lab with an Intel IOMMU: vfio-selftests lab run --iommu intel" });
}

/** Domain numbers that the device's IOMMU has given away, which only Intel's driver shows. */
function domainsUsed(address: string): number {
  const used = readAttribute(systemPaths.pciDevice(address, "iommu", "intel-iommu", "domains_used"));
  if (used !== undefined) return Number(used);
  skip({ reason: "the device has no Intel IOMMU", remedy: "vfio-selftests lab run --iommu intel" });
}
