import { DmaMemory, type DmaRegion, Iommu, type MapOptions } from "@vfio-selftests/core";
import { eachMode, fixture, notChecked, skip } from "@vfio-selftests/harness";
import { EDU_IOVA_LIMIT } from "../devices/edu/edu-registers";
import { CopyRig, DeviceCopier } from "../rigs/dma/copy-rig";
import { Reach } from "../rigs/dma/reach";
import { usesFirstStage } from "../rigs/iommu/intel-capabilities";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const MIB = 1024 ** 2;
/** On a 2 MiB boundary that every device reaches, away from the rig's own mappings. */
const BASE = EDU_IOVA_LIMIT / 2n;
const ELSEWHERE = BASE + 0x200_0000n;

/** Pages of the mappings that a test unmaps. Not all are powers of two, in which the IOMMU's caches are flushed. */
const SIZES = [1, 2, 3, 5, 8, 17, 64] as const;

/** Where a mapping of two pages is in two tables of the page table, one and two levels above the last, and farther. */
const BOUNDARIES = [1n << 30n, 1n << 31n, 1n << 33n, 1n << 38n, 1n << 39n] as const;

/** The device's own accesses prove what a map or an unmap did. The kernel's answers and its books are no proof. */
export function deviceReachSuite(target: SuiteTarget): void {
  fixture("vfio_device_reach", target, (address) => {
    eachMode(target, (mode) => {
      const open = () => new ReachRig(new CopyRig(target, mode, [address]));

      it("every_page_of_a_mapping_at_its_own_iova", () => {
        using memory = new TestMemory(8);
        using rig = open();
        rig.map(memory, { iova: BASE });
        for (let page = 0; page < 8; page++) {
          const start = page * PAGE_SIZE;
          for (const offset of [start, start + PAGE_SIZE - 64]) {
            rig.reach.expectWrite(BASE + BigInt(offset), memory.bytes, offset);
            rig.reach.expectRead(BASE + BigInt(offset), memory.bytes, offset);
          }
        }
        // Over the boundary of two pages, which may lie apart in physical memory.
        rig.reach.expectWrite(BASE + PAGE - 32n, memory.bytes, PAGE_SIZE - 32);
        rig.reach.expectRead(BASE + 4n * PAGE - 32n, memory.bytes, 4 * PAGE_SIZE - 32);
      });

      it("part_of_a_memory_and_nothing_beside_it", () => {
        using memory = new TestMemory(4);
        using rig = open();
        rig.map(memory, { iova: BASE + PAGE, offset: 2 * PAGE_SIZE, length: PAGE_SIZE });
        rig.reach.expectWrite(BASE + PAGE, memory.bytes, 2 * PAGE_SIZE);
        rig.reach.expectWrite(BASE + 2n * PAGE - 64n, memory.bytes, 3 * PAGE_SIZE - 64);
        rig.reach.expectNoWrite(BASE, memory.bytes);
        rig.reach.expectNoWrite(BASE + 2n * PAGE, memory.bytes);
      });

      it("read_only_memory_is_read_and_not_written", () => {
        using memory = new TestMemory(2);
        using rig = open();
        rig.map(memory, { iova: BASE, access: "read" });
        for (const offset of [0, PAGE_SIZE]) {
          rig.reach.expectRead(BASE + BigInt(offset), memory.bytes, offset);
          rig.reach.expectNoWrite(BASE + BigInt(offset), memory.bytes);
        }
      });

      it("huge_read_only_memory_is_read_and_not_written", () => {
        using memory = new TestMemory((2 * MIB) / PAGE_SIZE, 2 * MIB);
        using rig = open();
        rig.map(memory, { iova: BASE, access: "read" });
        for (const offset of [0, MIB, 2 * MIB - PAGE_SIZE]) {
          rig.reach.expectRead(BASE + BigInt(offset), memory.bytes, offset);
          rig.reach.expectNoWrite(BASE + BigInt(offset), memory.bytes.subarray(offset, offset + PAGE_SIZE));
        }
      });

      it("memory_that_nobody_has_touched", () => {
        using memory = new TestMemory(4);
        using rig = open();
        rig.map(memory, { iova: BASE });
        // Neither a page of zeros that all share, nor one that the process leaves behind when it writes first.
        rig.reach.expectWrite(BASE, memory.bytes);
        memory.bytes[PAGE_SIZE] = 1;
        rig.reach.expectWrite(BASE + PAGE, memory.bytes, PAGE_SIZE);
        rig.reach.expectRead(BASE + 2n * PAGE, memory.bytes, 2 * PAGE_SIZE);
        expect(memory.bytes.subarray(3 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
      });

      it("write_only_memory_is_written_and_not_read", () => {
        using memory = new TestMemory(1);
        using rig = open();
        rig.map(memory, { iova: BASE, access: "write" });
        rig.reach.expectWrite(BASE, memory.bytes);
        // VT-d's driver of Linux 6.12 lets it (docs/kernel-findings/write-only-memory-is-read.md).
        if (usesFirstStage())
          notChecked("the read", "VT-d's first-stage tables cannot forbid it: what may be written may be read");
        else rig.reach.expectNoRead(BASE, memory.bytes);
      });

      it("access_of_one_mapping_is_not_its_neighbours", () => {
        using readable = new TestMemory(1);
        using both = new TestMemory(1);
        using rig = open();
        rig.map(readable, { iova: BASE, access: "read" });
        rig.map(both, { iova: BASE + PAGE });
        rig.reach.expectWrite(BASE + PAGE, both.bytes);
        rig.reach.expectNoWrite(BASE, readable.bytes, both.bytes);
        // The same IOVA with other access, after the IOMMU has seen the first.
        rig.unmap(BASE);
        rig.map(readable, { iova: BASE });
        rig.reach.expectWrite(BASE, readable.bytes);
      });

      it("nothing_that_was_unmapped", () => {
        const most = Math.max(...SIZES);
        using old = new TestMemory(most);
        using fresh = new TestMemory(most);
        using rig = open();
        // Not on the boundary of a power of two.
        const iova = BASE + 3n * PAGE;
        for (const pages of SIZES) {
          const length = pages * PAGE_SIZE;
          const offsets = [...new Set([0, pages >> 1, pages - 1])].map((page) => page * PAGE_SIZE);
          rig.map(old, { iova, length });
          // The IOMMU has the translations in its caches now.
          for (const offset of offsets) rig.reach.expectWrite(iova + BigInt(offset), old.bytes, offset);
          rig.unmap(iova);
          for (const offset of offsets) rig.reach.expectNoWrite(iova + BigInt(offset), old.bytes);
          rig.map(fresh, { iova, length });
          const kept = Buffer.from(old.bytes);
          for (const offset of offsets) rig.reach.expectWrite(iova + BigInt(offset), fresh.bytes, offset);
          expect({ pages, unchanged: kept.equals(old.bytes) }).toEqual({ pages, unchanged: true });
          rig.unmap(iova);
        }
      });

      it("nothing_of_a_huge_page_that_was_unmapped", () => {
        using old = new TestMemory((2 * MIB) / PAGE_SIZE, 2 * MIB);
        using fresh = new TestMemory(1);
        using rig = open();
        const offsets = [0, MIB, 2 * MIB - PAGE_SIZE];
        rig.map(old, { iova: BASE });
        for (const offset of offsets) rig.reach.expectWrite(BASE + BigInt(offset), old.bytes, offset);
        rig.unmap(BASE);
        for (const offset of offsets) rig.reach.expectNoWrite(BASE + BigInt(offset), old.bytes);
        // Small pages where the huge one was.
        rig.map(fresh, { iova: BASE + BigInt(MIB) });
        rig.reach.expectWrite(BASE + BigInt(MIB), fresh.bytes);
        rig.reach.expectNoWrite(BASE, old.bytes, fresh.bytes);
      });

      it("nothing_that_was_unmapped_over_a_great_boundary", () => {
        using old = new TestMemory(2);
        using rig = open();
        if (reachesLittle(rig)) skipForReach();
        const ranges = rig.rig.iommu.iovaRanges();
        for (const boundary of BOUNDARIES) {
          const iova = boundary - PAGE;
          if (!ranges.some(({ start, last }) => start <= iova && last >= boundary + PAGE)) continue;
          // A flush by page takes powers of two, so here it takes everything (calculate_psi_aligned_address).
          rig.map(old, { iova });
          rig.reach.expectWrite(iova, old.bytes);
          rig.reach.expectWrite(boundary, old.bytes, PAGE_SIZE);
          rig.unmap(iova);
          rig.reach.expectNoWrite(iova, old.bytes);
          rig.reach.expectNoWrite(boundary, old.bytes);
        }
      });

      it("the_neighbours_of_what_was_unmapped", () => {
        using memory = new TestMemory(3);
        using rig = open();
        const at = (page: number) => ({
          iova: BASE + BigInt(page) * PAGE,
          offset: page * PAGE_SIZE,
          length: PAGE_SIZE,
        });
        for (const page of [0, 1, 2]) rig.map(memory, at(page));
        for (const page of [0, 1, 2]) rig.reach.expectWrite(at(page).iova, memory.bytes, at(page).offset);
        rig.unmap(at(1).iova);
        for (const page of [0, 2]) rig.reach.expectWrite(at(page).iova, memory.bytes, at(page).offset);
        rig.reach.expectNoWrite(at(1).iova, memory.bytes);
      });

      it("the_rest_of_a_mapping_after_an_unmap_of_a_part", () => {
        using memory = new TestMemory(4);
        using rig = open();
        const { traits } = mode;
        // In version 1, iommufd's container cuts the mapping, and type 1 reports that it took nothing. Others refuse.
        const cuts = traits.splitsMappings && !traits.mapsRegisters;
        rig.map(memory, { iova: BASE });
        const touch = (page: number) =>
          rig.reach.expectWrite(BASE + BigInt(page) * PAGE, memory.bytes, page * PAGE_SIZE);
        for (const page of [0, 1, 2, 3]) touch(page);
        const unmap = () => rig.rig.iommu.unmapRange(BASE + PAGE, PAGE);
        if (traits.splitsMappings) expect(unmap()).toBe(cuts ? PAGE : 0n);
        else expect(unmap).toThrow(/EINVAL|ENOENT/);
        for (const page of [0, 2, 3]) touch(page);
        if (cuts) rig.reach.expectNoWrite(BASE + PAGE, memory.bytes);
        else touch(1);
        if (!traits.splitsMappings) return;
        // An unmap of the first page takes the whole mapping in type 1, and that page alone in iommufd.
        expect(rig.rig.iommu.unmapRange(BASE, PAGE)).toBe(cuts ? PAGE : 4n * PAGE);
        rig.reach.expectNoWrite(BASE, memory.bytes);
        if (cuts) touch(3);
        else rig.reach.expectNoWrite(BASE + 3n * PAGE, memory.bytes);
      });

      it("nothing_after_unmap_all", () => {
        using memory = new TestMemory(2);
        using rig = open();
        const { iommu, copier } = rig.rig;
        rig.map(memory, { iova: BASE, length: PAGE_SIZE });
        rig.map(memory, { iova: ELSEWHERE, offset: PAGE_SIZE, length: PAGE_SIZE });
        rig.reach.expectWrite(BASE, memory.bytes);
        rig.reach.expectWrite(ELSEWHERE, memory.bytes, PAGE_SIZE);
        iommu.unmapAll();
        // That unmapped the driver's memory, too. The device starts anew in the same address space.
        copier.close();
        const again = new DeviceCopier(target, iommu, address, 1);
        try {
          const reach = new Reach(again);
          for (const iova of [BASE, ELSEWHERE]) reach.expectNoWrite(iova, memory.bytes);
          rig.map(memory, { iova: BASE });
          reach.expectWrite(BASE + PAGE, memory.bytes, PAGE_SIZE);
        } finally {
          again.close();
        }
      });

      it("nothing_of_an_address_space_that_was_closed", () => {
        using memory = new TestMemory(4);
        using fresh = new TestMemory(4);
        {
          using rig = open();
          rig.map(memory, { iova: BASE });
          rig.reach.expectWrite(BASE, memory.bytes);
        }
        using rig = open();
        rig.reach.expectNoWrite(BASE, memory.bytes);
        rig.map(fresh, { iova: BASE });
        rig.reach.expectWrite(BASE, fresh.bytes);
        rig.reach.expectNoWrite(BASE + 4n * PAGE, memory.bytes, fresh.bytes);
      });

      it("one_memory_at_two_iovas", () => {
        using memory = new TestMemory(2);
        using rig = open();
        rig.map(memory, { iova: BASE });
        rig.map(memory, { iova: ELSEWHERE });
        rig.reach.expectWrite(BASE, memory.bytes);
        rig.reach.expectRead(ELSEWHERE, memory.bytes);
        rig.unmap(BASE);
        rig.reach.expectNoWrite(BASE, memory.bytes);
        rig.reach.expectWrite(ELSEWHERE + PAGE, memory.bytes, PAGE_SIZE);
      });

      it("mappings_that_were_there_before_it", () => {
        using memory = new TestMemory(3);
        const iommu = new Iommu(mode.open());
        // A container gets its address space with the first device, and keeps it.
        if (mode.traits.api === "container") iommu.openDevice(address).close();
        iommu.map(memory.memory, { iova: BASE, length: 2 * PAGE_SIZE });
        iommu.map(memory.memory, { iova: ELSEWHERE, offset: 2 * PAGE_SIZE, length: PAGE_SIZE, access: "read" });
        using rig = new ReachRig(new CopyRig(target, mode, [address], iommu));
        rig.reach.expectWrite(BASE + PAGE, memory.bytes, PAGE_SIZE);
        rig.reach.expectRead(ELSEWHERE, memory.bytes, 2 * PAGE_SIZE);
        rig.reach.expectNoWrite(ELSEWHERE, memory.bytes);
      });

      it("memory_of_every_backing", () => {
        using rig = open();
        for (const backing of ["anonymous", "shared", "memfd"] as const) {
          using memory = DmaMemory.allocate(3 * PAGE_SIZE, { backing });
          using _region = rig.rig.iommu.map(memory, { iova: BASE });
          rig.reach.expectWrite(BASE + 2n * PAGE, new Uint8Array(memory.buffer), 2 * PAGE_SIZE);
          rig.reach.expectRead(BASE, new Uint8Array(memory.buffer));
        }
      });

      it("iova_0_and_the_edges_of_every_range", () => {
        using memory = new TestMemory(1);
        using rig = open();
        if (reachesLittle(rig)) skipForReach();
        const ranges = rig.rig.iommu.iovaRanges();
        for (const { start, last } of ranges) {
          for (const iova of [start, last + 1n - PAGE]) {
            rig.map(memory, { iova });
            // A NIC takes a receive descriptor of address 0 for an empty one, so the device writes only behind it.
            rig.reach.expectRead(iova, memory.bytes);
            rig.reach.expectWrite(iova + 64n, memory.bytes, 64);
            rig.reach.expectWrite(iova + PAGE - 64n, memory.bytes, PAGE_SIZE - 64);
            rig.unmap(iova);
            rig.reach.expectNoWrite(iova + 64n, memory.bytes);
          }
        }
      });
    });
  });
}

/** The test's own memory, which outlives the address space. */
class TestMemory implements Disposable {
  readonly memory: DmaMemory;
  readonly bytes: Uint8Array;

  constructor(pages: number, alignment = 0) {
    const options = alignment === 0 ? {} : ({ backing: "shared", alignment } as const);
    this.memory = DmaMemory.allocate(pages * PAGE_SIZE, options);
    this.bytes = new Uint8Array(this.memory.buffer);
  }

  [Symbol.dispose](): void {
    this.memory.close();
  }
}

/** A device that copies, and its mappings by IOVA. A test makes its memories first, so that they outlive the rig. */
class ReachRig implements Disposable {
  readonly reach: Reach;
  readonly #regions = new Map<bigint, DmaRegion>();

  constructor(readonly rig: CopyRig) {
    this.reach = new Reach(rig.copier);
  }

  map({ memory }: TestMemory, options: MapOptions & { iova: bigint }): void {
    this.#regions.set(options.iova, this.rig.iommu.map(memory, options));
  }

  unmap(iova: bigint): void {
    const region = this.#regions.get(iova);
    expect(region?.unmap()).toBe(BigInt(region?.length ?? -1));
    this.#regions.delete(iova);
  }

  [Symbol.dispose](): void {
    this.rig[Symbol.dispose]();
  }
}

function skipForReach(): never {
  skip({
    reason: "the device reaches 28 bits of addresses",
    remedy: "use a device with 64: vfio-selftests lab run -d igb",
  });
}

/** The suites' own edu driver serves a device of 28 address bits. */
function reachesLittle({ rig }: ReachRig): boolean {
  return rig.copier.session.driver.name === "edu";
}
