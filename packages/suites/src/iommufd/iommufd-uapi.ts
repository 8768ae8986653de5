import { DmaMemory } from "@vfio-selftests/core";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_GET_HW_INFO,
  IOMMU_HW_CAP_DIRTY_TRACKING,
  iommu_hw_info,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  iommu_hwpt_get_dirty_bitmap,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  iommu_hwpt_set_dirty_tracking,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
  IOMMU_OPTION,
  iommu_option,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_VFIO_IOAS,
  iommu_vfio_ioas,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
} from "@vfio-selftests/core/uapi";
import { fixture, requireMode } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { ioPageTableEntry } from "../rigs/iommu/io-page-table";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { requireHugeSharedMemory } from "../rigs/memory/huge-shared-memory";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { IommufdFile, NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const MIB = 1024n ** 2n;
const SPACE_END = 1n << 64n;
const IOVA = 0x4000_0000n;

/** The requests of an iommufd beyond maps and unmaps (drivers/iommu/iommufd/ioas.c, vfio_compat.c, device.c, main.c). */
export function iommufdUapiSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;
  fixture("iommufd_uapi", target, (address) => {
    requireMode(mode);

    it("copies_share_pages_and_keep_to_what_was_mapped", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas, memory } = attached;
      const before = pinnedPages();
      expect(attached.map(IOVA, 4)).toBe("ok");
      expect(pinnedPages()).toBe(before + 4);
      const other = iommufd.newIoas();
      const flags = READ | WRITE | FIXED;
      const copy = { flags, dst_ioas_id: other, src_ioas_id: ioas, length: 4n * PAGE, dst_iova: IOVA, src_iova: IOVA };
      // iommufd_ioas_copy, iopt_get_pages
      expectAnswers(
        {
          unknown_flag: [{ ...copy, flags: flags | 8 }, "EOPNOTSUPP"],
          no_access: [{ ...copy, flags: FIXED }, "EINVAL"],
          no_bytes: [{ ...copy, length: 0n }, "EINVAL"],
          no_source: [{ ...copy, src_ioas_id: NO_SUCH_ID }, "ENOENT"],
          no_destination: [{ ...copy, dst_ioas_id: NO_SUCH_ID }, "ENOENT"],
          beyond_the_mapping: [{ ...copy, length: 5n * PAGE }, "ENOENT"],
          from_before_it: [{ ...copy, src_iova: IOVA - PAGE }, "ENOENT"],
          source_wraps: [{ ...copy, src_iova: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          last_byte_of_source: [{ ...copy, src_iova: SPACE_END - 1n }, "EOVERFLOW"],
          last_byte_of_destination: [{ ...copy, dst_iova: SPACE_END - 1n }, "EOVERFLOW"],
          over_itself: [{ ...copy, dst_ioas_id: ioas }, "EEXIST"],
          beside_itself: [{ ...copy, dst_ioas_id: ioas, dst_iova: IOVA + 8n * PAGE }, "ok"],
          to_the_other: [copy, "ok"],
          to_the_other_again: [copy, "EEXIST"],
        },
        (values) => iommufd.copy(values).code,
      );
      // The kernel pins the pages once, however often they are mapped, until the last mapping goes.
      expect(pinnedPages()).toBe(before + 4);
      expect(iommufd.unmap(ioas, IOVA, 4n * PAGE).length).toBe(4n * PAGE);
      expect(pinnedPages()).toBe(before + 4);
      expect(iommufd.unmap(ioas, IOVA + 8n * PAGE, 4n * PAGE).length).toBe(4n * PAGE);
      expect(pinnedPages()).toBe(before);
      // The other space has no device. Its pages need no pin, and the kernel finds them all the same.
      expect(iommufd.copy({ ...copy, src_ioas_id: other, dst_ioas_id: ioas }).code).toBe("ok");
      expect(pinnedPages()).toBe(before + 4);
      expect(memory.closed).toBe(false);
    });

    it("read_only_mappings_are_not_copied_as_writable", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
      expect(attached.map(IOVA, 1, READ)).toBe("ok");
      const other = iommufd.newIoas();
      const copy = { dst_ioas_id: other, src_ioas_id: ioas, length: PAGE, dst_iova: IOVA, src_iova: IOVA };
      // iopt_insert_area
      expect(iommufd.copy({ ...copy, flags: READ | WRITE | FIXED }).code).toBe("EPERM");
      expect(iommufd.copy({ ...copy, flags: WRITE | FIXED }).code).toBe("EPERM");
      expect(iommufd.copy({ ...copy, flags: READ | FIXED }).code).toBe("ok");
    });

    it("files_are_mapped_within_their_length", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
      requireMapFile(iommufd);
      using memory = DmaMemory.allocate(4 * PAGE_SIZE, { backing: "memfd" });
      using nothing = KernelFile.open(realKernel, systemPaths.dev("null"));
      const fd = memory.file?.fd ?? -1;
      const before = pinnedPages();
      const good = { flags: READ | WRITE | FIXED, ioas_id: ioas, fd, start: 0n, length: 4n * PAGE, iova: IOVA };
      expectAnswers(
        {
          unknown_flag: [{ ...good, flags: good.flags | 8 }, "EOPNOTSUPP"],
          no_access: [{ ...good, flags: FIXED }, "EINVAL"],
          no_such_space: [{ ...good, ioas_id: NO_SUCH_ID }, "ENOENT"],
          no_descriptor: [{ ...good, fd: -1 }, "EBADF"],
          no_memory_file: [{ ...good, fd: nothing.descriptor("test") }, "EINVAL"],
          no_bytes: [{ ...good, length: 0n }, "EINVAL"],
          wraps: [{ ...good, start: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          start_by_a_byte: [{ ...good, start: 1n, length: PAGE }, "EINVAL"],
          beyond_its_end: [{ ...good, start: PAGE, length: 4n * PAGE }, "EINVAL"],
          behind_its_end: [{ ...good, start: 4n * PAGE, length: PAGE }, "EINVAL"],
          all_of_it: [good, "ok"],
          once_more: [good, "EEXIST"],
        },
        (values) => askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values).code,
      );
      expect(pinnedPages()).toBe(before + 4);
      expect(iommufd.unmap(ioas, IOVA, 4n * PAGE)).toEqual({ code: "ok", length: 4n * PAGE });
      expect(pinnedPages()).toBe(before);
    });

    it("huge_pages_can_be_turned_off_before_the_first_mapping", () => {
      requireHugeSharedMemory();
      using attached = new AttachedSpace(address, 2 * Number(MIB));
      const { iommufd, ioas, memory } = attached;
      const huge = IOMMU_OPTION_HUGE_PAGES;
      expect(iommufd.option(huge, ioas)).toEqual({ code: "ok", value: 1n });
      const large = () => {
        const entry = ioPageTableEntry(address, IOVA);
        return entry.readable ? entry.pageSize : undefined;
      };
      const map = () => iommufd.map({ ioas, vaddr: memory.address, length: 2n * MIB, iova: IOVA }).code;
      const unmap = () => iommufd.unmap(ioas, IOVA, 2n * MIB).length;
      expect(map()).toBe("ok");
      const sizeWithout = large();
      // iopt_disable_large_pages
      expect(iommufd.setOption(huge, ioas, 0)).toBe("EINVAL");
      expect(iommufd.option(huge, ioas).value).toBe(1n);
      expect(unmap()).toBe(2n * MIB);
      expect(iommufd.setOption(huge, ioas, 0)).toBe("ok");
      expect(iommufd.option(huge, ioas)).toEqual({ code: "ok", value: 0n });
      expect(map()).toBe("ok");
      if (sizeWithout !== undefined) expect([sizeWithout, large()]).toEqual([Number(2n * MIB), PAGE_SIZE]);
      expect(iommufd.setOption(huge, ioas, 0)).toBe("ok");
      expect(unmap()).toBe(2n * MIB);
      expect(iommufd.setOption(huge, ioas, 1)).toBe("ok");
      expect(iommufd.option(huge, ioas).value).toBe(1n);
      expect(map()).toBe("ok");
      if (sizeWithout !== undefined) expect(large()).toBe(sizeWithout);
    });

    it("options_are_known_or_refused", () => {
      using iommufd = new IommufdFile();
      // Only before the first object may this option say whose limit pages count against (iommufd_option_rlimit_mode).
      const limit = IOMMU_OPTION_RLIMIT_MODE;
      expect(iommufd.option(limit, 0)).toEqual({ code: "ok", value: 0n });
      expect(iommufd.setOption(limit, 0, 2)).toBe("EINVAL");
      expect(iommufd.setOption(limit, 0, 1)).toBe("ok");
      expect(iommufd.option(limit, 0)).toEqual({ code: "ok", value: 1n });
      expect(iommufd.setOption(limit, 0, 0)).toBe("ok");
      expect(iommufd.option(limit, 0)).toEqual({ code: "ok", value: 0n });
      const ioas = iommufd.newIoas();
      expect(iommufd.setOption(limit, 0, 1)).toBe("EBUSY");
      expect(iommufd.option(limit, 0)).toEqual({ code: "ok", value: 0n });
      const values = { option_id: IOMMU_OPTION_HUGE_PAGES, op: 1, object_id: ioas };
      expectAnswers(
        {
          limit_of_an_object: [{ ...values, option_id: limit }, "EOPNOTSUPP"],
          no_such_option: [{ ...values, option_id: 2 }, "EOPNOTSUPP"],
          no_such_operation: [{ ...values, op: 2 }, "EOPNOTSUPP"],
          no_such_operation_of_the_limit: [{ option_id: limit, op: 2, object_id: 0 }, "EOPNOTSUPP"],
          no_such_space: [{ ...values, object_id: NO_SUCH_ID }, "ENOENT"],
          no_boolean: [{ ...values, op: 0, val64: 2 }, "EINVAL"],
          known: [values, "ok"],
        },
        (option: typeof values & { val64?: number }) =>
          askKernel(iommufd.file, { IOMMU_OPTION }, iommu_option, option).code,
      );
    });

    it("one_address_space_stands_for_a_container", () => {
      using iommufd = new IommufdFile();
      const ask = (op: number, ioas_id = 0) => {
        const { code, view } = askKernel(iommufd.file, { IOMMU_VFIO_IOAS }, iommu_vfio_ioas, { op, ioas_id });
        return op === IOMMU_VFIO_IOAS_GET && code === "ok" ? iommu_vfio_ioas.fields.ioas_id.get(view) : code;
      };
      expect(ask(IOMMU_VFIO_IOAS_GET)).toBe("ENODEV");
      const [first, second] = [iommufd.newIoas(), iommufd.newIoas()];
      expect(ask(IOMMU_VFIO_IOAS_SET, NO_SUCH_ID)).toBe("ENOENT");
      expect([ask(IOMMU_VFIO_IOAS_SET, first), ask(IOMMU_VFIO_IOAS_GET)]).toEqual(["ok", first]);
      expect([ask(IOMMU_VFIO_IOAS_SET, second), ask(IOMMU_VFIO_IOAS_GET)]).toEqual(["ok", second]);
      expect(ask(3)).toBe("EOPNOTSUPP");
      expect([ask(IOMMU_VFIO_IOAS_CLEAR), ask(IOMMU_VFIO_IOAS_GET)]).toEqual(["ok", "ENODEV"]);
      // A destroyed one stands for the container no more.
      expect(ask(IOMMU_VFIO_IOAS_SET, first)).toBe("ok");
      expect(iommufd.destroy(first)).toBe("ok");
      expect(ask(IOMMU_VFIO_IOAS_GET)).toBe("ENODEV");
    });

    it("memory_of_files_can_be_another_process_s", () => {
      using attached = new AttachedSpace(address);
      requireMapFile(attached.iommufd);
      using memory = DmaMemory.allocate(2 * PAGE_SIZE, { backing: "memfd" });
      const { iommufd, ioas } = attached;
      const change = (reserved = 0) =>
        askPlainly(iommufd.file, { IOMMU_IOAS_CHANGE_PROCESS }, new Uint8Array(Uint32Array.of(8, reserved).buffer));
      const before = pinnedPages();
      const values = { flags: READ | FIXED, ioas_id: ioas, fd: memory.file?.fd ?? -1, length: 2n * PAGE, iova: IOVA };
      expect(askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values).code).toBe("ok");
      expect(change(1)).toBe("EOPNOTSUPP");
      expect(change()).toBe("ok");
      expect(pinnedPages() - before).toBe(2);
      // Memory mapped by its address belongs to this process (iommufd_ioas_change_process).
      expect(attached.map(IOVA + 8n * PAGE, 1)).toBe("ok");
      expect(change()).toBe("EINVAL");
      expect(iommufd.unmap(ioas, 0n, SPACE_END - 1n).length).toBe(3n * PAGE);
      expect(change()).toBe("ok");
      expect(pinnedPages() - before).toBe(0);
    });

    it("dirty_tracking_is_there_when_the_hardware_says_so", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, deviceId, ioas } = attached;
      const info = askKernel(iommufd.file, { IOMMU_GET_HW_INFO }, iommu_hw_info, { dev_id: deviceId });
      const told = (iommu_hw_info.fields.out_capabilities.get(info.view) & BigInt(IOMMU_HW_CAP_DIRTY_TRACKING)) !== 0n;
      const tracked = iommufd.newPageTable(deviceId, ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
      expect(tracked.code).toBe(told ? "ok" : "EOPNOTSUPP");
      const plain = iommufd.newPageTable(deviceId, ioas);
      const set = (values: { hwpt_id: number; flags?: number }) =>
        askKernel(iommufd.file, { IOMMU_HWPT_SET_DIRTY_TRACKING }, iommu_hwpt_set_dirty_tracking, values).code;
      // iommufd_hwpt_set_dirty_tracking checks the flag first, then the table, then the table's abilities.
      expectAnswers(
        {
          unknown_flag: [{ hwpt_id: plain.id, flags: 2 }, "EOPNOTSUPP"],
          no_such_table: [{ hwpt_id: NO_SUCH_ID, flags: 1 }, "ENOENT"],
          an_address_space: [{ hwpt_id: ioas, flags: 1 }, "ENOENT"],
          a_table_without: [{ hwpt_id: plain.id, flags: 1 }, "EOPNOTSUPP"],
          off_without: [{ hwpt_id: plain.id, flags: 0 }, "EOPNOTSUPP"],
        },
        set,
      );
      const bitmap = { hwpt_id: plain.id, iova: IOVA, length: PAGE, page_size: PAGE };
      expectAnswers(
        {
          unknown_flag: [{ ...bitmap, flags: 2 }, "EOPNOTSUPP"],
          no_such_table: [{ ...bitmap, hwpt_id: NO_SUCH_ID }, "ENOENT"],
          no_bytes: [{ ...bitmap, length: 0n }, "EINVAL"],
          wraps: [{ ...bitmap, iova: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          iova_by_a_byte: [{ ...bitmap, iova: IOVA + 1n }, "EINVAL"],
          a_byte_more: [{ ...bitmap, length: PAGE + 1n }, "EINVAL"],
          no_page_size: [{ ...bitmap, page_size: 0n }, "EINVAL"],
          larger_pages: [{ ...bitmap, page_size: 2n * PAGE }, "EINVAL"],
          without_tracking: [bitmap, "EOPNOTSUPP"],
        },
        (values) => askKernel(iommufd.file, { IOMMU_HWPT_GET_DIRTY_BITMAP }, iommu_hwpt_get_dirty_bitmap, values).code,
      );
    });

    it("hardware_info_tells_its_length_and_fills_what_there_is_room_for", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, deviceId } = attached;
      const { data_len, data_uptr, out_data_type } = iommu_hw_info.fields;
      const ask = (room: number, values: { dev_id?: number; flags?: number } = {}) => {
        const into = new Uint8Array(64).fill(0xa5);
        const { code, view } = askKernel(
          iommufd.file,
          { IOMMU_GET_HW_INFO },
          iommu_hw_info,
          { dev_id: deviceId, data_len: room, ...values },
          { links: [data_uptr.offset, into] },
        );
        return { code, length: data_len.get(view), type: out_data_type.get(view), into };
      };
      expect(ask(0, { dev_id: NO_SUCH_ID }).code).toBe("ENOENT");
      expect(ask(0, { dev_id: attached.ioas }).code).toBe("ENOENT");
      expect(ask(0, { flags: 2 }).code).toBe("EOPNOTSUPP");
      const nothing = ask(0);
      expect(nothing.code).toBe("ok");
      expect(nothing.into.every((byte) => byte === 0xa5)).toBe(true);
      const whole = ask(nothing.length);
      expect({ ...whole, into: undefined }).toEqual({ ...nothing, into: undefined });
      const part = ask(Math.min(4, nothing.length));
      expect(part.into.subarray(0, 4)).toEqual(
        nothing.length === 0 ? part.into.subarray(0, 4) : whole.into.subarray(0, 4),
      );
      expect(part.into.subarray(4).every((byte) => byte === 0xa5)).toBe(true);
      // The kernel clears the room beyond the data.
      const more = ask(64);
      expect(more.into.subarray(0, nothing.length)).toEqual(whole.into.subarray(0, nothing.length));
      expect(more.into.subarray(nothing.length).every((byte) => byte === 0)).toBe(true);
    });
  });
}
