import type { IommuMode } from "@vfio-selftests/core";
import { eachMode } from "@vfio-selftests/harness";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { combined, someRanges } from "../rigs/mediated/combined-ranges";
import { expectNoOperations } from "../rigs/mediated/missing-operations";
import { IOMMU_READ, IOMMU_WRITE, MOST_PAGES } from "../rigs/mediated/pin-device";
import { canPin, pinModes } from "../rigs/mediated/pin-modes";
import { BASE, MappedPinRig, PAGES, PinRig } from "../rigs/mediated/pin-rig";
import { PinSpace } from "../rigs/mediated/pin-space";
import { pageFrame } from "../rigs/memory/page-frame";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BYTES = PAGES * PAGE_SIZE;
/** The last page of all addresses. */
const LAST_PAGE = (1n << 64n) - PAGE;
/** Offsets and lengths: one byte, within a page, over borders with both ends unaligned, whole pages, all. */
const PIECES = [
  [0, 1],
  [5, 10],
  [PAGE_SIZE - 3, 6],
  [2 * PAGE_SIZE - 1, 2],
  [100, 4096],
  [PAGE_SIZE, PAGE_SIZE],
  [BYTES - 9, 9],
] as const;

/** A driver's own access to the memory that user space mapped: pinned pages and copies. The lab's mediated device calls for it. */
export function mdevPinningSuite(target: SuiteTarget): void {
  describe("vfio_mdev_pinning", () => {
    eachMode({ modes: pinModes(target) }, (mode) => {
      it("device_without_operations_of_its_own_refuses_them", () => {
        using space = new PinSpace(mode);
        expectNoOperations(space.deviceFile);
      });
      copyTests(mode);
      if (canPin(mode)) {
        pinTests(mode);
        releaseTests(mode);
      } else {
        it("type_1_of_the_first_version_pins_nothing", () => {
          using rig = new MappedPinRig(mode);
          // vfio_iommu_type1_pin_pages
          expect(rig.space.pins.pin(BASE, 1)).toEqual({ outcome: "EACCES", frames: [] });
          expect(rig.counted()).toEqual(rig.pages(0));
        });
      }
    });
  });
}

/** vfio_dma_rw */
function copyTests(mode: IommuMode): void {
  it("a_write_of_the_device_is_in_our_memory_and_there_alone", () => {
    using rig = new MappedPinRig(mode);
    const random = new PseudoRandom(1);
    random.fill(rig.bytes);
    for (const [offset, length] of PIECES) {
      const expected = Buffer.from(rig.bytes);
      const written = new Uint8Array(length);
      random.fill(written);
      expected.set(written, offset);
      expect([offset, rig.space.pins.write(BASE + BigInt(offset), written)]).toEqual([offset, 0]);
      expect(expected.equals(rig.bytes)).toBe(true);
    }
    expect(rig.counted()).toEqual(rig.pages(0));
  });

  it("a_read_of_the_device_takes_what_our_memory_holds", () => {
    using rig = new MappedPinRig(mode);
    new PseudoRandom(2).fill(rig.bytes);
    for (const [offset, length] of PIECES) {
      const { outcome, bytes } = rig.space.pins.read(BASE + BigInt(offset), length);
      expect([offset, outcome]).toEqual([offset, 0]);
      expect(Buffer.from(bytes).equals(rig.bytes.subarray(offset, offset + length))).toBe(true);
    }
    expect(rig.counted()).toEqual(rig.pages(0));
  });

  it("a_copy_goes_on_in_the_next_mapping_and_ends_where_none_is", () => {
    using rig = new PinRig(mode);
    // The second page comes first.
    expect(rig.map(0, 1, { page: 1 })).toBe("ok");
    expect(rig.map(1, 1, { page: 0 })).toBe("ok");
    expect(rig.space.pins.write(BASE + PAGE - 2n, Uint8Array.of(1, 2, 3, 4))).toBe(0);
    expect([...rig.bytes.subarray(2 * PAGE_SIZE - 2, 2 * PAGE_SIZE)]).toEqual([1, 2]);
    expect([...rig.bytes.subarray(0, 3)]).toEqual([3, 4, 0]);
    expect([...rig.space.pins.read(BASE + PAGE - 2n, 4).bytes]).toEqual([1, 2, 3, 4]);
    // The kernel copies what is mapped, and then tells of the rest.
    const behind = rig.isType1 ? "EINVAL" : "ENOENT";
    expect(rig.space.pins.write(BASE + 2n * PAGE - 2n, Uint8Array.of(5, 6, 7, 8))).toBe(behind);
    expect([...rig.bytes.subarray(PAGE_SIZE - 2, PAGE_SIZE)]).toEqual([5, 6]);
    expect(rig.bytes.subarray(2 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
  });

  it("no_copy_is_made_where_nothing_is_mapped", () => {
    using rig = new MappedPinRig(mode);
    const { pins } = rig.space;
    const nowhere = rig.isType1 ? "EINVAL" : "ENOENT";
    for (const iova of [0n, BASE - 1n, BASE + BigInt(BYTES), LAST_PAGE]) {
      expect([iova, pins.write(iova, Uint8Array.of(1)), pins.read(iova, 1).outcome]).toEqual([iova, nowhere, nowhere]);
    }
    // vfio_dma_rw: no bytes; iommufd_access_rw: the end of all addresses.
    expect(pins.read(BASE, 0).outcome).toBe("EINVAL");
    expect(pins.read(LAST_PAGE + 1n, PAGE_SIZE).outcome).toBe(rig.isType1 ? "EINVAL" : "EOVERFLOW");
    expect(rig.space.unmap(BASE, BYTES)).toEqual(["ok", BigInt(BYTES)]);
    expect(pins.write(BASE, Uint8Array.of(1))).toBe(nowhere);
    expect(rig.bytes.every((byte) => byte === 0)).toBe(true);
  });

  it("no_copy_and_no_pin_is_made_where_the_process_has_no_memory", () => {
    using rig = new PinRig(mode);
    const { pins } = rig.space;
    // The kernel gives no process its second page (vm.mmap_min_addr), and asks only when a device needs the memory.
    expect(rig.space.map({ iova: BASE, vaddr: PAGE, length: PAGE_SIZE })).toBe("ok");
    expect([pins.write(BASE, Uint8Array.of(1)), pins.read(BASE, 1).outcome]).toEqual(["EFAULT", "EFAULT"]);
    if (canPin(mode)) expect(pins.pin(BASE, 1).outcome).toBe("EFAULT");
    expect(rig.counted()).toEqual(rig.pages(0));
    expect(rig.space.unmap(BASE, PAGE_SIZE)).toEqual(["ok", PAGE]);
  });

  it("copies_keep_to_the_mappings_permissions", () => {
    using rig = new PinRig(mode);
    const { pins } = rig.space;
    rig.bytes.fill(7);
    expect(rig.map(0, 1, { access: "read" })).toBe("ok");
    expect(rig.map(1, 1, { access: "write" })).toBe("ok");
    expect(pins.write(BASE, Uint8Array.of(1))).toBe("EPERM");
    expect(rig.bytes[0]).toBe(7);
    expect([pins.read(BASE, 1).outcome, ...pins.read(BASE, 1).bytes]).toEqual([0, 7]);
    expect(pins.read(BASE + PAGE, 1).outcome).toBe("EPERM");
    // vfio_iommu_type1_dma_rw_chunk writes only where the device may read, too.
    expect(pins.write(BASE + PAGE, Uint8Array.of(1))).toBe(rig.isType1 ? "EPERM" : 0);
    expect(rig.bytes[PAGE_SIZE]).toBe(rig.isType1 ? 7 : 1);
  });

  it("ranges_are_combined_over_the_smallest_gaps", () => {
    using space = new PinSpace(mode);
    const random = new PseudoRandom(3);
    for (let round = 0; round < 100; round++) {
      const ranges = someRanges(random);
      const most = 1 + random.below(ranges.length + 2);
      const expected = combined(ranges, most);
      expect(space.pins.combine(ranges, most)).toEqual({ outcome: expected.length, ranges: expected });
    }
  });
}

/** vfio_pin_pages, vfio_unpin_pages */
function pinTests(mode: IommuMode): void {
  it("what_is_pinned_are_the_pages_of_our_memory", () => {
    using rig = new PinRig(mode);
    rig.bytes.fill(1);
    // Two mappings, of which the second shows earlier pages.
    expect(rig.map(0, 4, { page: 4 })).toBe("ok");
    expect(rig.map(4, 4, { page: 0 })).toBe("ok");
    const { outcome, frames } = rig.space.pins.pin(BASE + PAGE, 6);
    expect(outcome).toBe(6);
    const shown = [5, 6, 7, 0, 1, 2];
    expect(frames).toEqual(shown.map((page) => pageFrame(rig.memory.address + BigInt(page) * PAGE)));
    expect(rig.counted()).toEqual(rig.pages(6));
    expect(rig.space.pins.unpin(BASE + PAGE, 6)).toBe(0);
    expect(rig.counted()).toEqual(rig.pages(0));
  });

  it("a_page_counts_once_until_its_last_pin_is_gone", () => {
    using rig = new MappedPinRig(mode);
    const { pins } = rig.space;
    const first = pins.pin(BASE, 4);
    expect([first.outcome, rig.counted()]).toEqual([4, rig.pages(4)]);
    const again = pins.pin(BASE, 4);
    expect(again).toEqual(first);
    expect(rig.counted()).toEqual(rig.pages(4));
    const overlapping = pins.pin(BASE + 2n * PAGE, 4);
    expect([overlapping.outcome, rig.counted()]).toEqual([4, rig.pages(6)]);
    expect(overlapping.frames.slice(0, 2)).toEqual(first.frames.slice(2));
    expect([pins.unpin(BASE, 4), rig.counted()]).toEqual([0, rig.pages(6)]);
    expect([pins.unpin(BASE, 4), rig.counted()]).toEqual([0, rig.pages(4)]);
    expect([pins.unpin(BASE, 4), rig.counted()]).toEqual(["ENOENT", rig.pages(4)]);
    expect([pins.unpin(BASE + 2n * PAGE, 4), rig.counted()]).toEqual([0, rig.pages(0)]);
  });

  it("as_many_pages_as_one_call_may_pin", () => {
    using rig = new PinRig(mode, 2 * MOST_PAGES);
    rig.skipWhereLockdepWatches();
    expect(rig.map(0, 2 * MOST_PAGES)).toBe("ok");
    for (const [start, pages] of [
      [0, MOST_PAGES],
      [MOST_PAGES, MOST_PAGES],
    ] as const) {
      expect(rig.space.pins.pin(BASE + BigInt(start) * PAGE, pages).outcome).toBe(pages);
    }
    expect(rig.counted()).toEqual(rig.pages(2 * MOST_PAGES));
    expect(rig.space.unmap(BASE, rig.bytes.length)).toEqual(["ok", BigInt(rig.bytes.length)]);
    expect(rig.counted()).toEqual(rig.pages(0));
  });

  it("a_pin_that_is_refused_pins_no_page", () => {
    using rig = new PinRig(mode);
    const { pins } = rig.space;
    expect(rig.map(0, 2)).toBe("ok");
    expect(rig.map(3, 1, { access: "read" })).toBe("ok");
    expect(rig.map(4, 1)).toBe("ok");
    const nowhere = rig.isType1 ? "EINVAL" : "ENOENT";
    expect(pins.pin(0n, 1).outcome).toBe(nowhere);
    expect(pins.pin(BASE, 3).outcome).toBe(nowhere);
    expect(pins.pin(BASE + 2n * PAGE, 1).outcome).toBe(nowhere);
    expect(pins.pin(BASE, 0).outcome).toBe("EINVAL");
    expect(pins.pin(BASE + 3n * PAGE, 2).outcome).toBe("EPERM");
    expect(pins.pin(BASE + 3n * PAGE, 1, IOMMU_WRITE).outcome).toBe("EPERM");
    expect(pins.pin(LAST_PAGE, 2).outcome).toBe("EOVERFLOW");
    expect(rig.counted()).toEqual(rig.pages(0));
    expect([pins.pin(BASE + 3n * PAGE, 2, IOMMU_READ).outcome, rig.counted()]).toEqual([2, rig.pages(2)]);
  });
}

/** What ends a pin but the device. */
function releaseTests(mode: IommuMode): void {
  it("to_unmap_calls_the_device_and_ends_its_pins_there", () => {
    using rig = new PinRig(mode);
    rig.skipWhereLockdepWatches();
    const { space } = rig;
    expect([rig.map(0, 4), rig.map(4, 4)]).toEqual(["ok", "ok"]);
    expect([space.pins.pin(BASE, 2).outcome, space.pins.pin(BASE + 3n * PAGE, 1).outcome]).toEqual([2, 1]);
    expect(space.pins.pin(BASE + 5n * PAGE, 2).outcome).toBe(2);
    expect([space.pins.unmaps().count, rig.counted()]).toEqual([0, rig.pages(5)]);
    expect(space.unmap(BASE, 4 * PAGE_SIZE)).toEqual(["ok", 4n * PAGE]);
    expect(rig.counted()).toEqual(rig.pages(2));
    const unmaps = space.pins.unmaps();
    expect(unmaps).toEqual({ count: 1, iova: BASE, length: 4n * PAGE });
    expect(space.pins.pin(BASE, 1).outcome).toBe(rig.isType1 ? "EINVAL" : "ENOENT");
    // The device's pins are gone. Those in the other mapping are not.
    expect(space.pins.unpin(BASE, 2)).toBe("ENOENT");
    expect(space.pins.unpin(BASE + 5n * PAGE, 2)).toBe(0);
    expect(rig.counted()).toEqual(rig.pages(0));
    // Where nothing is pinned, no device is asked.
    expect(space.unmap(BASE + 4n * PAGE, 4 * PAGE_SIZE)).toEqual(["ok", 4n * PAGE]);
    expect(space.pins.unmaps()).toEqual(unmaps);
  });

  it("to_unmap_one_mapping_ends_a_pin_over_two", () => {
    using rig = new PinRig(mode);
    rig.skipWhereLockdepWatches();
    const { space } = rig;
    expect([rig.map(0, 4), rig.map(4, 4)]).toEqual(["ok", "ok"]);
    expect([space.pins.pin(BASE + 2n * PAGE, 4).outcome, rig.counted()]).toEqual([4, rig.pages(4)]);
    expect(space.unmap(BASE + 4n * PAGE, 4 * PAGE_SIZE)).toEqual(["ok", 4n * PAGE]);
    expect(rig.counted()).toEqual(rig.pages(0));
    expect([space.pins.pin(BASE, 4).outcome, space.unmap(BASE, 4 * PAGE_SIZE)]).toEqual([4, ["ok", 4n * PAGE]]);
    expect(rig.counted()).toEqual(rig.pages(0));
  });

  it("every_device_of_the_address_space_lets_go", () => {
    using rig = new MappedPinRig(mode);
    rig.skipWhereLockdepWatches();
    const other = rig.space.addDevice();
    expect([rig.space.pins.pin(BASE, 2).outcome, other.pin(BASE + PAGE, 2).outcome]).toEqual([2, 2]);
    expect(rig.counted()).toEqual(rig.pages(3));
    expect(rig.space.unmap(BASE, BYTES)).toEqual(["ok", BigInt(BYTES)]);
    expect(rig.counted()).toEqual(rig.pages(0));
    const all = { iova: BASE, length: BigInt(BYTES) };
    expect([rig.space.pins.unmaps(), other.unmaps()]).toMatchObject([all, all]);
  });

  it("the_pins_of_a_device_end_with_its_file", () => {
    using rig = new MappedPinRig(mode);
    const other = rig.space.addDevice();
    expect([rig.space.pins.pin(BASE, 4).outcome, other.pin(BASE + 3n * PAGE, 3).outcome]).toEqual([4, 3]);
    expect(rig.counted()).toEqual(rig.pages(6));
    rig.space.closeFirst();
    expect(rig.counted()).toEqual(rig.pages(3));
    // The mapping is still there.
    expect(other.read(BASE, 1).outcome).toBe(0);
  });
}
