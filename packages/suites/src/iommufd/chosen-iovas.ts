import { DmaMemory } from "@vfio-selftests/core";
import {
  iommu_ioas_copy,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { DeviceFile, IommufdFile, NO_SUCH_ID } from "../rigs/raw/iommufd-files";

const PAGE = BigInt(PAGE_SIZE);
const MIB = 1024n ** 2n;
const SPACE_END = 1n << 64n;
const IOVA = 0x4000_0000n;

/** IOVAs that the kernel chooses, and the list of those that it may choose (iopt_alloc_iova, iommufd_ioas_allow_iovas). */
export function chosenIovaTests(address: string): void {
  it("chosen_iovas_are_free_usable_and_aligned", () => {
    using attached = new AttachedSpace(address, 4 * Number(MIB));
    const { iommufd, ioas, memory } = attached;
    const usable = iommufd.ranges(ioas, 16).ranges;
    const taken: { start: bigint; last: bigint }[] = [];
    for (const [offset, length] of [
      [0n, PAGE],
      [PAGE, 3n * PAGE],
      [0n, 2n * MIB],
      [2n * MIB, 2n * MIB],
      [PAGE, MIB],
      [0n, 4n * MIB],
      [0n, PAGE],
    ] as const) {
      const vaddr = memory.address + offset;
      const start = iommufd.chosen({ ioas, vaddr, length });
      const last = start + length - 1n;
      expect(usable.some((range) => range.start <= start && last <= range.last)).toBe(true);
      expect(taken.every((other) => other.last < start || last < other.start)).toBe(true);
      // iopt_alloc_iova: never 0, and as aligned as the memory's address, so that huge pages stay possible.
      expect(start).toBeGreaterThan(0n);
      const alignment = [2n * MIB, MIB, PAGE].find((size) => vaddr % size === 0n && length >= size) ?? PAGE;
      expect({ length, misaligned: start % alignment }).toEqual({ length, misaligned: 0n });
      taken.push({ start, last });
    }
    const bytes = taken.reduce((sum, { start, last }) => sum + last - start + 1n, 0n);
    expect(iommufd.unmap(ioas, 0n, SPACE_END - 1n)).toEqual({ code: "ok", length: bytes });
  });

  it("chosen_iovas_of_files_and_copies_are_aligned_as_their_memory", () => {
    using attached = new AttachedSpace(address, 4 * Number(MIB));
    using memory = DmaMemory.allocate(4 * Number(MIB), { backing: "memfd" });
    const { iommufd, ioas } = attached;
    requireMapFile(iommufd);
    const other = iommufd.newIoas();
    expect(attached.map(IOVA, Number((4n * MIB) / PAGE))).toBe("ok");
    const { fd = -1, offset: begin = 0 } = memory.file ?? {};
    const mapFile = (start: bigint, length: bigint) => {
      const values = { flags: READ | WRITE, ioas_id: ioas, fd, start: BigInt(begin) + start, length };
      const { code, view } = askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values);
      return [code, iommu_ioas_map_file.fields.iova.get(view)] as const;
    };
    const copy = (start: bigint, length: bigint) => {
      const places = { src_ioas_id: ioas, src_iova: IOVA + start, dst_ioas_id: other };
      const { code, view } = iommufd.copy({ flags: READ | WRITE, ...places, length });
      return [code, iommu_ioas_copy.fields.dst_iova.get(view)] as const;
    };
    for (const [start, length, alignment] of [
      [0n, PAGE, PAGE],
      [PAGE, 3n * PAGE, PAGE],
      [2n * MIB, 2n * MIB, 2n * MIB],
      [0n, 4n * MIB, 2n * MIB],
      [MIB, MIB, MIB],
    ] as const) {
      // iopt_alloc_area_pages begins with the offset in the file, or with the address of what is copied.
      for (const [code, iova] of [mapFile(start, length), copy(start, length)]) {
        expect([code, start, iova % alignment]).toEqual(["ok", start, 0n]);
      }
    }
  });

  it("allowed_iovas_too_narrow_for_the_memorys_alignment_are_not_chosen", () => {
    using attached = new AttachedSpace(address, 2 * Number(MIB));
    const { iommufd, ioas, memory } = attached;
    const map = (length: bigint) => iommufd.map({ ioas, vaddr: memory.address, length }).code;
    // Two pages, but not on a boundary of two (__alloc_iova_check_range).
    expect(iommufd.allow(ioas, [{ start: IOVA + PAGE, last: IOVA + 3n * PAGE - 1n }])).toBe("ok");
    expect(map(2n * PAGE)).toBe("ENOSPC");
    expect(iommufd.allow(ioas, [{ start: IOVA + PAGE, last: IOVA + 4n * PAGE - 1n }])).toBe("ok");
    expect(iommufd.chosen({ ioas, vaddr: memory.address, length: 2n * PAGE })).toBe(IOVA + 2n * PAGE);
    // One page is left before it, and none behind.
    expect(map(2n * PAGE)).toBe("ENOSPC");
    expect(iommufd.chosen({ ioas, vaddr: memory.address, length: PAGE })).toBe(IOVA + PAGE);
    expect(map(PAGE)).toBe("ENOSPC");
  });

  it("allowed_iovas_keep_a_device_out_that_may_not_use_them", () => {
    using iommufd = new IommufdFile();
    using device = new DeviceFile(address);
    expect(device.bind(iommufd).code).toBe("ok");
    const ioas = iommufd.newIoas();
    expect(device.attach(ioas).code).toBe("ok");
    const [first, second] = iommufd.ranges(ioas, 16).ranges;
    if (first === undefined || second === undefined) {
      skip({ reason: "the device has no reserved range between two others", remedy: "use a PC's IOMMU" });
    }
    expect(device.detach()).toBe("ok");
    // iopt_reserve_iova: a byte of the reserved range at either end is too much.
    for (const range of [
      { start: first.start, last: first.last + 1n },
      { start: second.start - 1n, last: second.last },
    ]) {
      expect(iommufd.allow(ioas, [range])).toBe("ok");
      expect(device.attach(ioas).code).toBe("EADDRINUSE");
    }
    expect(iommufd.allow(ioas, [first, second])).toBe("ok");
    expect(device.attach(ioas).code).toBe("ok");
    // It is also kept from moving there, and stays where it is.
    const other = iommufd.newIoas();
    expect(iommufd.allow(other, [{ start: first.start, last: second.last }])).toBe("ok");
    expect(device.attach(other).code).toBe("EADDRINUSE");
    expect([iommufd.destroy(ioas), iommufd.destroy(other)]).toEqual(["EBUSY", "ok"]);
  });

  it("allowed_iovas_bind_the_kernels_choice_and_not_the_users", () => {
    using attached = new AttachedSpace(address);
    const { iommufd, ioas, memory } = attached;
    const allowed = { start: IOVA, last: IOVA + 2n * PAGE - 1n };
    expect(iommufd.allow(ioas, [allowed])).toBe("ok");
    const vaddr = memory.address;
    const chosen = [1, 2].map(() => iommufd.chosen({ ioas, vaddr, length: PAGE }));
    expect(chosen.sort()).toEqual([IOVA, IOVA + PAGE]);
    expect(iommufd.map({ ioas, vaddr, length: PAGE }).code).toBe("ENOSPC");
    // The list does not bind a map at a fixed IOVA.
    expect(attached.map(IOVA + 8n * PAGE, 1)).toBe("ok");
    // iommufd_ioas_load_iovas
    const bad = {
      empty: [[{ start: IOVA, last: IOVA }], "EINVAL"],
      backward: [[{ start: IOVA + PAGE, last: IOVA }], "EINVAL"],
      overlapping: [[allowed, { start: IOVA + PAGE, last: IOVA + 4n * PAGE }], "EINVAL"],
      overlapping_by_a_byte: [[allowed, { start: allowed.last, last: IOVA + 4n * PAGE }], "EINVAL"],
      overlapping_before: [[allowed, { start: IOVA - PAGE, last: IOVA }], "EINVAL"],
      reserved: [attached.reserved(), "EADDRINUSE"],
      reserved_after_others: [[allowed, ...attached.reserved()], "EADDRINUSE"],
    } as const;
    expectAnswers(bad, (ranges) => iommufd.allow(ioas, ranges));
    expect(iommufd.allow(NO_SUCH_ID, [allowed])).toBe("ENOENT");
    // The refused lists changed nothing: there is no more room, nor less. The next lists replace the first, and lift the limit.
    expect(iommufd.map({ ioas, vaddr, length: PAGE }).code).toBe("ENOSPC");
    expect(iommufd.unmap(ioas, IOVA, PAGE).length).toBe(PAGE);
    expect(iommufd.chosen({ ioas, vaddr, length: PAGE })).toBe(IOVA);
    expect(iommufd.allow(ioas, [allowed, { start: IOVA + 32n * PAGE, last: IOVA + 33n * PAGE - 1n }])).toBe("ok");
    expect(iommufd.chosen({ ioas, vaddr, length: PAGE })).toBe(IOVA + 32n * PAGE);
    expect(iommufd.map({ ioas, vaddr, length: PAGE }).code).toBe("ENOSPC");
    expect(iommufd.allow(ioas, [])).toBe("ok");
    expect(iommufd.map({ ioas, vaddr, length: PAGE }).code).toBe("ok");
  });
}
