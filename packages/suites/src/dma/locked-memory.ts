import { DmaMemory, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { asNobody } from "../rigs/ordinary-user/as-nobody";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const BASE = 0x4000_0000n;
const ROUNDS = 100;

/** How the kernel counts mapped memory, for whom, and that it gives all back (as awilliam/tests accounting-stress). */
export function lockedMemorySuite(target: SuiteTarget): void {
  fixture("vfio_locked_memory", target, (address) => {
    eachMode(target, (mode) => {
      it("is_counted_when_mapped_and_not_after", () => {
        using memory = DmaMemory.allocate(8 * PAGE_SIZE);
        using huge = DmaMemory.allocate(2 * MIB, { backing: "shared", alignment: 2 * MIB });
        using watch = new PageWatch(mode);
        {
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          watch.expectPages(0);
          const first = iommu.map(memory, { iova: BASE, length: 5 * PAGE_SIZE });
          watch.expectPages(5);
          // The same pages once more count once more.
          const second = iommu.map(memory, { iova: BASE + 0x10_0000n, length: 2 * PAGE_SIZE, access: "read" });
          watch.expectPages(7);
          expect(() => iommu.map(memory, { iova: BASE })).toThrow(errorWithCode("EEXIST"));
          watch.expectPages(7);
          first.unmap();
          watch.expectPages(2);
          const large = iommu.map(huge);
          watch.expectPages(2 + (2 * MIB) / PAGE_SIZE);
          large.unmap();
          second.unmap();
          watch.expectPages(0);
          iommu.map(memory, { iova: BASE, access: "write" });
          iommu.map(memory, { iova: BASE + 0x10_0000n, length: PAGE_SIZE });
          watch.expectPages(9);
          iommu.unmapAll();
          watch.expectPages(0);
          iommu.map(memory, { iova: BASE });
          watch.expectPages(8);
        }
        // Closing the address space ended what was still mapped.
        watch.expectPages(0);
      });

      it("of_a_map_that_fails_late_is_given_back", () => {
        using memory = DmaMemory.allocate(8 * PAGE_SIZE);
        using watch = new PageWatch(mode);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const { last } = iommu.iovaRanges().at(-1) ?? { last: 0n };
        // One map goes past the last IOVA, the other over a mapping.
        expect(() => iommu.map(memory, { iova: last + 1n - BigInt(PAGE_SIZE) })).toThrow(/E(INVAL|OVERFLOW)/);
        watch.expectPages(0);
        iommu.map(memory, { iova: BASE + BigInt(4 * PAGE_SIZE), length: PAGE_SIZE });
        expect(() => iommu.map(memory, { iova: BASE })).toThrow(errorWithCode("EEXIST"));
        watch.expectPages(1);
      });

      it("does_not_grow_over_many_maps", () => {
        using memory = DmaMemory.allocate(16 * PAGE_SIZE);
        using watch = new PageWatch(mode);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        for (let round = 0; round < ROUNDS; round++) {
          const pages = 1 + (round % 16);
          const region = iommu.map(memory, { iova: BASE + BigInt(round * 16 * PAGE_SIZE), length: pages * PAGE_SIZE });
          if (round % 10 === 0) watch.expectPages(pages);
          region.unmap();
        }
        watch.expectPages(0);
      });

      it("of_an_ordinary_user_ends_at_the_limit", () => {
        const { answers, locked, limitModeChange } = asNobody(mode, address, {
          limitPages: 8,
          steps: [9, 8, 1, -1, 1, 7, 1, -3, 8, 7, 1],
        });
        // vfio_lock_acct, vfio_pin_pages_remote, incr_user_locked_vm: up to the limit, and not a page more.
        expect(answers).toEqual([
          "ENOMEM",
          "ok",
          "ENOMEM",
          "unmapped",
          "ok",
          "ok",
          "ENOMEM",
          "unmapped",
          "ENOMEM",
          "ok",
          "ENOMEM",
        ]);
        expect(locked).toEqual([0, 8, 8, 0, 1, 8, 8, 1, 1, 8, 8]);
        const isIommufd = mode.traits.api === "iommufd" || mode.traits.container?.path[0] === "iommu";
        expect(limitModeChange).toBe(isIommufd ? "EPERM" : "ENOTTY");
      });
    });
  });
}

/** Pages that the kernel counts for this process, and pages pinned in the machine, beyond those at the start. */
class PageWatch implements Disposable {
  readonly #isType1: boolean;
  readonly #counted = lockedMemory();
  readonly #pinned = pinnedPages();

  constructor(mode: IommuMode) {
    this.#isType1 = mode.traits.api === "container" && mode.traits.mapsRegisters;
  }

  expectPages(pages: number): void {
    const now = lockedMemory();
    const counted = { locked: now.locked - this.#counted.locked, pinned: now.pinned - this.#counted.pinned };
    // Type 1 counts as mlock does. iommufd counts pinned pages, for root without a limit (iopt_pages_update_pinned).
    const expected = this.#isType1 ? { locked: pages, pinned: 0 } : { locked: 0, pinned: pages };
    expect({ ...counted, inMachine: pinnedPages() - this.#pinned }).toEqual({ ...expected, inMachine: pages });
  }

  [Symbol.dispose](): void {
    this.expectPages(0);
  }
}
