import { DmaMemory } from "@vfio-selftests/core";
import {
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
} from "@vfio-selftests/core/uapi";
import { fixture, notChecked, requireMode } from "@vfio-selftests/harness";
import { EDU_IOVA_LIMIT } from "../devices/edu/edu-registers";
import { AttachedRig } from "../rigs/dma/attached-rig";
import { usesFirstStage } from "../rigs/iommu/intel-capabilities";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { askKernel } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BASE = EDU_IOVA_LIMIT / 2n;

/** The device's own accesses prove what attaching, copying and page tables do: which memory its IOVAs lead to. */
export function iommufdReachSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;
  fixture("iommufd_device_reach", target, (address) => {
    requireMode(mode);
    const open = () => new AttachedRig(target, mode, address);

    it("nothing_while_it_is_detached", () => {
      using memory = DmaMemory.allocate(PAGE_SIZE);
      using rig = open();
      const bytes = new Uint8Array(memory.buffer);
      rig.iommu.map(memory, { iova: BASE });
      rig.reach.expectWrite(BASE, bytes);
      rig.tie.detach();
      // The device cannot reach its rings either.
      rig.reach.expectNoWrite(BASE, bytes);
      rig.tie.attach(rig.door.ioas);
      rig.startAgain();
      rig.reach.expectWrite(BASE, bytes);
    });

    it("the_memory_of_the_space_that_it_is_attached_to", () => {
      using here = DmaMemory.allocate(PAGE_SIZE);
      using there = DmaMemory.allocate(PAGE_SIZE);
      using rig = open();
      rig.iommu.map(here, { iova: BASE });
      const elsewhere = rig.copyOfSpace(BASE);
      const mapped = rig.iommu.map(there, { iova: BASE + 16n * PAGE });
      elsewhere.copyMapping(rig.door.ioas, { sourceIova: mapped.iova, length: PAGE_SIZE, iova: BASE });
      const [inHere, inThere] = [new Uint8Array(here.buffer), new Uint8Array(there.buffer)];
      rig.reach.expectWrite(BASE, inHere);
      for (let round = 0; round < 3; round++) {
        const kept = Buffer.from(inHere);
        rig.tie.attach(elsewhere);
        rig.reach.expectWrite(BASE, inThere);
        expect(kept.equals(inHere)).toBe(true);
        const keptThere = Buffer.from(inThere);
        rig.tie.attach(rig.door.ioas);
        rig.reach.expectWrite(BASE, inHere);
        expect(keptThere.equals(inThere)).toBe(true);
      }
      elsewhere.close();
    });

    it("copies_with_the_access_of_the_copy", () => {
      using memory = DmaMemory.allocate(4 * PAGE_SIZE);
      using rig = open();
      const bytes = new Uint8Array(memory.buffer);
      const source = rig.iommu.map(memory, { iova: BASE });
      const { ioas } = rig.door;
      const readOnly = BASE + 16n * PAGE;
      // A read-only copy of the third page, in the same space, so that the device sees both.
      const part = { sourceIova: BASE + 2n * PAGE, length: PAGE_SIZE };
      ioas.copyMapping(ioas, { ...part, iova: readOnly, access: "read" });
      rig.reach.expectRead(readOnly, bytes, 2 * PAGE_SIZE);
      rig.reach.expectNoWrite(readOnly, bytes);
      ioas.copyMapping(ioas, { ...part, iova: readOnly + 4n * PAGE });
      rig.reach.expectWrite(readOnly + 4n * PAGE, bytes, 2 * PAGE_SIZE);
      rig.reach.expectNoWrite(readOnly + 5n * PAGE, bytes);
      // The copies stay when the original goes.
      source.unmap();
      rig.reach.expectNoWrite(BASE + 2n * PAGE, bytes);
      rig.reach.expectRead(readOnly, bytes, 2 * PAGE_SIZE);
      rig.reach.expectWrite(readOnly + 4n * PAGE, bytes, 2 * PAGE_SIZE);
      ioas.unmap(readOnly + 4n * PAGE, PAGE);
      rig.reach.expectNoWrite(readOnly + 4n * PAGE, bytes);
      ioas.unmap(readOnly, PAGE);
    });

    it("copies_for_writing_only", () => {
      using memory = DmaMemory.allocate(2 * PAGE_SIZE);
      using rig = open();
      const bytes = new Uint8Array(memory.buffer);
      rig.iommu.map(memory, { iova: BASE });
      const { ioas } = rig.door;
      const copy = BASE + 16n * PAGE;
      ioas.copyMapping(ioas, { sourceIova: BASE, length: 2 * PAGE_SIZE, iova: copy, access: "write" });
      rig.reach.expectWrite(copy, bytes);
      if (usesFirstStage())
        notChecked("the read", "VT-d's first-stage tables cannot forbid it: what may be written may be read");
      else rig.reach.expectNoRead(copy + PAGE, bytes.subarray(PAGE_SIZE));
      ioas.unmap(copy, 2n * PAGE);
    });

    it("copies_over_several_mappings_in_their_order", () => {
      using memory = DmaMemory.allocate(6 * PAGE_SIZE);
      using rig = open();
      const bytes = new Uint8Array(memory.buffer);
      // Side by side as IOVAs, and not in memory.
      [4, 0, 2].forEach((page, number) =>
        rig.iommu.map(memory, {
          iova: BASE + BigInt(2 * number) * PAGE,
          offset: page * PAGE_SIZE,
          length: 2 * PAGE_SIZE,
        }),
      );
      const { ioas } = rig.door;
      const copy = BASE + 16n * PAGE;
      // From the first's second page to the third's first.
      ioas.copyMapping(ioas, { sourceIova: BASE + PAGE, length: 4 * PAGE_SIZE, iova: copy });
      [5, 0, 1, 2].forEach((page, place) =>
        rig.reach.expectWrite(copy + BigInt(place) * PAGE, bytes, page * PAGE_SIZE),
      );
      // It is as many mappings as it was copied from.
      expect(ioas.unmap(copy, PAGE)).toBe(PAGE);
      expect(ioas.unmap(copy + PAGE, 3n * PAGE)).toBe(3n * PAGE);
    });

    it("a_file_by_its_offset", () => {
      using memory = DmaMemory.allocate(4 * PAGE_SIZE, { backing: "memfd" });
      using rig = open();
      requireMapFile(rig.door);
      const bytes = new Uint8Array(memory.buffer);
      const map = (flags: number, page: number, pages: number, iova: bigint) => {
        const values = {
          flags: flags | FIXED,
          ioas_id: rig.door.ioas.id,
          fd: memory.file?.fd ?? -1,
          start: page * PAGE_SIZE,
          length: pages * PAGE_SIZE,
          iova,
        };
        expect(askKernel(rig.door.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values).code).toBe("ok");
      };
      map(READ | WRITE, 1, 2, BASE);
      map(READ, 3, 1, BASE + 16n * PAGE);
      rig.reach.expectWrite(BASE, bytes, PAGE_SIZE);
      rig.reach.expectWrite(BASE + 2n * PAGE - 64n, bytes, 3 * PAGE_SIZE - 64);
      rig.reach.expectNoWrite(BASE + 2n * PAGE, bytes);
      rig.reach.expectRead(BASE + 16n * PAGE, bytes, 3 * PAGE_SIZE);
      rig.reach.expectNoWrite(BASE + 16n * PAGE, bytes);
      rig.door.ioas.unmap(BASE, 2n * PAGE);
      rig.reach.expectNoWrite(BASE, bytes);
      rig.door.ioas.unmap(BASE + 16n * PAGE, PAGE);
    });

    it("the_same_through_every_page_table_of_a_space", () => {
      using before = DmaMemory.allocate(PAGE_SIZE);
      using after = DmaMemory.allocate(PAGE_SIZE);
      using rig = open();
      const [inBefore, inAfter] = [new Uint8Array(before.buffer), new Uint8Array(after.buffer)];
      const first = rig.iommu.map(before, { iova: BASE });
      const table = rig.door.newPageTable({ device: rig.tie, ioas: rig.door.ioas });
      // A map that is made while the device uses the other table is in both.
      rig.iommu.map(after, { iova: BASE + PAGE });
      rig.reach.expectWrite(BASE, inBefore);
      rig.tie.attach(table);
      rig.reach.expectWrite(BASE, inBefore);
      rig.reach.expectWrite(BASE + PAGE, inAfter);
      // An unmap takes it out of both.
      first.unmap();
      rig.reach.expectNoWrite(BASE, inBefore, inAfter);
      rig.tie.attach(rig.door.ioas);
      rig.reach.expectNoWrite(BASE, inBefore, inAfter);
      rig.reach.expectWrite(BASE + PAGE, inAfter);
      table.close();
      rig.reach.expectWrite(BASE + PAGE, inAfter);
    });
  });
}
