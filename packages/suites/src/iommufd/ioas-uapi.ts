import { DmaMemory } from "@vfio-selftests/core";
import {
  IOMMU_DESTROY,
  iommu_destroy,
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  IOMMU_IOAS_MAP,
  iommu_ioas_map,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
  IOMMU_OPTION_HUGE_PAGES,
} from "@vfio-selftests/core/uapi";
import { fixture, requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { usableIovas } from "../rigs/iommu/reserved-regions";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { DeviceFile, IommufdFile, NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";
import { chosenIovaTests } from "./chosen-iovas";

const PAGE = BigInt(PAGE_SIZE);
const SPACE_END = 1n << 64n;
const IOVA = 0x4000_0000n;

/** The requests of an iommufd's address spaces (drivers/iommu/iommufd/ioas.c, io_pagetable.c, main.c). */
export function ioasUapiSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;
  fixture("iommufd_ioas_uapi", target, (address) => {
    requireMode(mode);

    it("structures_are_neither_too_small_nor_unknown", () => {
      using iommufd = new IommufdFile();
      const ioas = iommufd.newIoas();
      // iommufd_fops_ioctl, copy_struct_from_user
      const alloc = ({ said, flags = 0, beyond = 0 }: { said: number; flags?: number; beyond?: number }) => {
        const bytes = new Uint8Array(64);
        const words = new Uint32Array(bytes.buffer);
        words.set([said, flags]);
        bytes[iommu_ioas_alloc.size + 4] = beyond;
        return askPlainly(iommufd.file, { IOMMU_IOAS_ALLOC }, bytes);
      };
      expectAnswers(
        {
          a_byte_less: [{ said: iommu_ioas_alloc.size - 1 }, "EINVAL"],
          more_of_zeros: [{ said: 32 }, "ok"],
          more_of_something: [{ said: 32, beyond: 1 }, "E2BIG"],
          unknown_flag: [{ said: iommu_ioas_alloc.size, flags: 1 }, "EOPNOTSUPP"],
          last_flag: [{ said: iommu_ioas_alloc.size, flags: 1 << 31 }, "EOPNOTSUPP"],
        },
        alloc,
      );
      for (const request of [0x3b80 - 1, 0x3b80 + 0x1f, 0x3b7f]) {
        expect(askPlainly(iommufd.file, { request }, new Uint8Array(64))).toBe("ENOTTY");
      }
      // The number alone is not the request: its direction and size bits count, too.
      expect(askPlainly(iommufd.file, { request: 0x8000_3b81 | 0 }, new Uint8Array(64))).toBe("ENOTTY");
      expect(iommufd.destroy(ioas)).toBe("ok");
      expect(iommufd.destroy(ioas)).toBe("ENOENT");
      expect(iommufd.destroy(0)).toBe("ENOENT");
      expect(iommufd.destroy(NO_SUCH_ID)).toBe("ENOENT");
      expect(askKernel(iommufd.file, { IOMMU_DESTROY }, iommu_destroy, { id: ioas }, { said: 7 }).code).toBe("EINVAL");
    });

    it("arguments_that_cannot_be_read_are_refused", () => {
      using iommufd = new IommufdFile();
      for (const named of [{ IOMMU_IOAS_ALLOC }, { IOMMU_IOAS_MAP }, { IOMMU_DESTROY }]) {
        expect({ ...named, code: askPlainly(iommufd.file, named, NO_ADDRESS) }).toEqual({ ...named, code: "EFAULT" });
      }
      // The failed ones left nothing behind: the next id follows the first (_iommufd_object_alloc).
      const first = iommufd.newIoas();
      expect(askPlainly(iommufd.file, { IOMMU_IOAS_ALLOC }, NO_ADDRESS)).toBe("EFAULT");
      expect(iommufd.newIoas()).toBe(first + 1);
    });

    it("objects_are_known_in_their_own_iommufd_alone", () => {
      using iommufd = new IommufdFile();
      using other = new IommufdFile();
      const ids = [iommufd.newIoas(), iommufd.newIoas(), iommufd.newIoas()];
      expect(new Set(ids).size).toBe(3);
      expect(ids.map((id) => other.destroy(id))).toEqual(["ENOENT", "ENOENT", "ENOENT"]);
      expect(ids.map((id) => iommufd.destroy(id))).toEqual(["ok", "ok", "ok"]);
    });

    it("bad_maps_are_refused", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas, memory } = attached;
      const good = { flags: READ | WRITE | FIXED, ioas_id: ioas, user_va: memory.address, length: PAGE, iova: IOVA };
      // AMD's page tables have 64 bits, Intel's fewer.
      const reachesTheEnd = iommufd.ranges(ioas, 16).ranges.at(-1)?.last === SPACE_END - 1n;
      const reservedField = new Uint8Array(iommu_ioas_map.size);
      reservedField.set([iommu_ioas_map.size], 0);
      reservedField[12] = 1;
      expect(askPlainly(iommufd.file, { IOMMU_IOAS_MAP }, reservedField)).toBe("EOPNOTSUPP");
      expectAnswers(
        {
          unknown_flag: [{ ...good, flags: good.flags | 8 }, "EOPNOTSUPP"],
          last_flag: [{ ...good, flags: good.flags | (1 << 31) }, "EOPNOTSUPP"],
          no_access: [{ ...good, flags: FIXED }, "EINVAL"],
          no_such_space: [{ ...good, ioas_id: NO_SUCH_ID }, "ENOENT"],
          a_device_for_a_space: [{ ...good, ioas_id: attached.deviceId }, "ENOENT"],
          no_bytes: [{ ...good, length: 0n }, "EINVAL"],
          half_a_page: [{ ...good, length: PAGE / 2n }, "EINVAL"],
          a_byte_more: [{ ...good, length: PAGE + 1n }, "EINVAL"],
          iova_by_a_byte: [{ ...good, iova: IOVA + 1n }, "EINVAL"],
          iova_in_a_page: [{ ...good, iova: IOVA + PAGE / 2n }, "EINVAL"],
          address_by_a_byte: [{ ...good, user_va: memory.address + 1n }, "EINVAL"],
          address_of_nothing: [{ ...good, user_va: 0n }, "EFAULT"],
          address_wraps: [{ ...good, user_va: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          iova_wraps: [{ ...good, iova: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          last_byte_of_all: [{ ...good, iova: SPACE_END - 1n }, "EOVERFLOW"],
          longest_of_all: [{ ...good, length: SPACE_END - 1n }, "EOVERFLOW"],
          last_page_of_all: [{ ...good, iova: SPACE_END - PAGE }, reachesTheEnd ? "ok" : "EINVAL"],
          the_right_one: [good, "ok"],
          once_more: [good, "EEXIST"],
          over_its_start: [{ ...good, iova: IOVA - PAGE, length: 2n * PAGE }, "EEXIST"],
          around_it: [{ ...good, iova: IOVA - PAGE, length: 3n * PAGE }, "EEXIST"],
          just_before: [{ ...good, iova: IOVA - PAGE }, "ok"],
          just_behind: [{ ...good, iova: IOVA + PAGE }, "ok"],
        },
        (values) => askKernel(iommufd.file, { IOMMU_IOAS_MAP }, iommu_ioas_map, values).code,
      );
      const pages = reachesTheEnd ? 4n : 3n;
      expect(iommufd.unmap(ioas, 0n, SPACE_END - 1n)).toEqual({ code: "ok", length: pages * PAGE });
    });

    it("memory_that_the_process_cannot_write_is_mapped_for_reading_only", () => {
      using attached = new AttachedSpace(address);
      using memory = new ReadOnlyArgument(Uint8Array.of(7));
      const { iommufd, ioas } = attached;
      const request = { ioas, vaddr: BigInt(memory.address), length: PAGE, iova: IOVA };
      // pfn_reader_user_pin
      expectAnswers(
        { both: [READ | WRITE, "EFAULT"], writing: [WRITE, "EFAULT"], reading: [READ, "ok"] },
        (flags) => iommufd.map({ ...request, flags }).code,
      );
    });

    it("unmaps_take_whole_mappings_or_nothing", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
      for (const page of [0n, 4n, 6n]) expect(attached.map(IOVA + page * PAGE, page === 0n ? 4 : 1)).toBe("ok");
      const at = (page: bigint, pages: bigint) => ({ iova: IOVA + page * PAGE, length: pages * PAGE });
      const ask = ({ iova, length }: { iova: bigint; length: bigint }) => {
        const answer = iommufd.unmap(ioas, iova, length);
        return answer.code === "ok" ? `${answer.length / PAGE} pages` : answer.code;
      };
      expectAnswers(
        {
          no_bytes: [{ iova: IOVA, length: 0n }, "EINVAL"],
          first_page: [at(0n, 1n), "ENOENT"],
          middle: [at(1n, 2n), "ENOENT"],
          last_page: [at(3n, 1n), "ENOENT"],
          over_its_start: [at(-1n, 2n), "ENOENT"],
          over_its_end: [at(3n, 2n), "ENOENT"],
          a_byte_less: [{ iova: IOVA, length: 4n * PAGE - 1n }, "ENOENT"],
          nothing_there: [at(5n, 1n), "ENOENT"],
          wraps: [{ iova: SPACE_END - PAGE, length: 2n * PAGE }, "EOVERFLOW"],
          from_the_last_byte: [{ iova: SPACE_END - 1n, length: PAGE }, "EOVERFLOW"],
          the_first_two_and_a_hole: [at(-1n, 7n), "5 pages"],
          what_is_gone: [at(0n, 5n), "ENOENT"],
          everything: [{ iova: 0n, length: SPACE_END - 1n }, "1 pages"],
          everything_again: [{ iova: 0n, length: SPACE_END - 1n }, "0 pages"],
        },
        ask,
      );
      expect(iommufd.unmap(NO_SUCH_ID, 0n, SPACE_END - 1n).code).toBe("ENOENT");
    });

    it("ranges_tell_how_many_there_are_when_there_is_no_room", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
      const whole = iommufd.ranges(ioas, 16);
      expect(whole.code).toBe("ok");
      expect(whole.count).toBe(whole.ranges.length);
      expect(whole.ranges).toEqual(usableIovas(address, whole.ranges.at(-1)?.last ?? 0n));
      expect(whole.alignment).toBe(PAGE);
      for (let room = 0; room < whole.count; room++) {
        // iommufd_ioas_iova_ranges fills what there is room for.
        expect(iommufd.ranges(ioas, room)).toEqual({ ...whole, code: "EMSGSIZE", ranges: whole.ranges.slice(0, room) });
      }
      expect(iommufd.ranges(ioas, whole.count)).toEqual(whole);
      expect(iommufd.ranges(NO_SUCH_ID, 1).code).toBe("ENOENT");
      // Without a device there is no limit, and the alignment is one byte.
      expect(iommufd.ranges(iommufd.newIoas(), 1)).toEqual({
        code: "ok",
        count: 1,
        alignment: 1n,
        ranges: [{ start: 0n, last: SPACE_END - 1n }],
      });
    });

    it("alignment_is_a_page_while_somebody_needs_pages", () => {
      using iommufd = new IommufdFile();
      using device = new DeviceFile(address);
      using memory = DmaMemory.allocate(2 * PAGE_SIZE);
      expect(device.bind(iommufd).code).toBe("ok");
      const ioas = iommufd.newIoas();
      const huge = IOMMU_OPTION_HUGE_PAGES;
      const alignment = () => iommufd.ranges(ioas, 16).alignment;
      const mapHalf = () => {
        const { code } = iommufd.map({ ioas, vaddr: memory.address, length: PAGE / 2n, iova: IOVA });
        if (code === "ok") expect(iommufd.unmap(ioas, IOVA, PAGE / 2n).length).toBe(PAGE / 2n);
        return code;
      };
      // iopt_calculate_iova_alignment
      const steps: Readonly<Record<string, () => string>> = {
        nobody: () => "ok",
        device_attached: () => device.attach(ioas).code,
        device_detached: () => device.detach(),
        small_pages_alone: () => iommufd.setOption(huge, ioas, 0),
        huge_pages_again: () => iommufd.setOption(huge, ioas, 1),
      };
      const seen = Object.entries(steps).map(([name, take]) => [name, take(), alignment(), mapHalf()]);
      expect(seen).toEqual([
        ["nobody", "ok", 1n, "ok"],
        ["device_attached", "ok", PAGE, "EINVAL"],
        ["device_detached", "ok", 1n, "ok"],
        ["small_pages_alone", "ok", PAGE, "EINVAL"],
        ["huge_pages_again", "ok", 1n, "ok"],
      ]);
      // What is mapped already may not fit.
      const half = { ioas, vaddr: memory.address, length: PAGE / 2n, iova: IOVA };
      expect(iommufd.map(half).code).toBe("ok");
      expect(iommufd.setOption(huge, ioas, 0)).toBe("EADDRINUSE");
      expect([iommufd.option(huge, ioas).value, alignment()]).toEqual([1n, 1n]);
    });

    chosenIovaTests(address);
  });
}
