import { DmaMemory } from "@vfio-selftests/core";
import {
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READABLE,
  IOMMU_IOAS_MAP_WRITEABLE as WRITEABLE,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_unmap,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_GET,
  StructView,
} from "@vfio-selftests/core/uapi";
import { fixture } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly } from "../rigs/raw/ask-kernel";
import { IommufdFile } from "../rigs/raw/iommufd-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const BASE = 0x4000_0000n;
const PAGES = 4;
const U64_MAX = (1n << 64n) - 1n;
/** An address in no process's memory, in a structure's pointer. */
const NOWHERE = 8;

const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** Requests of an iommufd that no device has to be there for, and that the kernel must refuse without a trace. */
export function refusedRequestsSuite(target: SuiteTarget): void {
  if (modesOf(target, "iommufd").length === 0) return;

  fixture("iommufd_refused", { ...target, devices: target.devices.slice(0, 1) }, () => {
    it("reserved_fields", () => {
      using iommufd = new IommufdFile();
      const ioas = iommufd.newIoas();
      const ask = (named: Readonly<Record<string, number>>, argument: Uint8Array): string =>
        askPlainly(iommufd.file, named, argument);
      const requests = (reserved: number): Readonly<Record<string, readonly [() => string, string]>> => ({
        ranges: [() => ask({ IOMMU_IOAS_IOVA_RANGES }, words(32, ioas, 0, reserved, 0, 0, 0, 0)), "EMSGSIZE"],
        allowed: [() => ask({ IOMMU_IOAS_ALLOW_IOVAS }, words(24, ioas, 0, reserved, 0, 0)), "ok"],
        option: [
          () =>
            ask(
              { IOMMU_OPTION },
              words(24, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET | (reserved << 16), ioas, 0, 0),
            ),
          "ok",
        ],
        limit_mode: [
          () =>
            ask({ IOMMU_OPTION }, words(24, IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_GET | (reserved << 16), 0, 0, 0)),
          "ok",
        ],
        compatible: [() => ask({ IOMMU_VFIO_IOAS }, words(12, 0, IOMMU_VFIO_IOAS_GET | (reserved << 16))), "ENODEV"],
      });
      expectAnswers(requests(0), (request) => request());
      const refused = Object.entries(requests(1)).map(([name, [request]]) => [name, [request, "EOPNOTSUPP"]] as const);
      expectAnswers(Object.fromEntries(refused), (request) => request());
    });

    it("numbers_behind_the_last_address", () => {
      using iommufd = new IommufdFile();
      requireMapFile(iommufd);
      using memory = DmaMemory.allocate(PAGES * PAGE_SIZE, { backing: "memfd" });
      const ioas = iommufd.newIoas();
      const { address } = memory;
      const [source, length] = [BASE, BigInt(PAGES) * PAGE];
      expect(iommufd.map({ ioas, vaddr: address, iova: source, length }).code).toBe("ok");
      const file = native.memfdCreate("refused", 0);
      try {
        expect(native.ftruncate(file, PAGE_SIZE)).toBe(0);
        const copy = { flags: FIXED | READABLE, src_ioas_id: ioas, dst_ioas_id: ioas, src_iova: source, length: PAGE };
        const fromFile = { flags: FIXED | READABLE, ioas_id: ioas, fd: file, start: 0, iova: 0n, length: PAGE };
        const mapFile = (values: Partial<typeof fromFile>): string =>
          askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, { ...fromFile, ...values }).code;
        // iommufd_ioas_map, _map_file, _copy, _unmap: the last address itself is one too many.
        expectAnswers<() => string>(
          {
            map_iova: [() => iommufd.map({ ioas, vaddr: address, iova: U64_MAX, length: PAGE }).code, "EOVERFLOW"],
            map_length: [() => iommufd.map({ ioas, vaddr: address, iova: 0n, length: U64_MAX }).code, "EOVERFLOW"],
            file_iova: [() => mapFile({ iova: U64_MAX }), "EOVERFLOW"],
            file_length: [() => mapFile({ length: U64_MAX }), "EOVERFLOW"],
            copy_from: [() => iommufd.copy({ ...copy, src_iova: U64_MAX }).code, "EOVERFLOW"],
            copy_to: [() => iommufd.copy({ ...copy, dst_iova: U64_MAX }).code, "EOVERFLOW"],
            copy_length: [() => iommufd.copy({ ...copy, length: U64_MAX }).code, "EOVERFLOW"],
            unmap_iova: [() => iommufd.unmap(ioas, U64_MAX, PAGE).code, "EOVERFLOW"],
            unmap_length: [() => iommufd.unmap(ioas, PAGE, U64_MAX).code, "EOVERFLOW"],
          },
          (request) => request(),
        );
        // All is as it was.
        expect(iommufd.unmap(ioas, 0n, U64_MAX)).toEqual({ code: "ok", length });
      } finally {
        native.close(file);
      }
    });

    it("a_file_without_a_fixed_iova_gets_one_of_its_own", () => {
      using iommufd = new IommufdFile();
      requireMapFile(iommufd);
      const ioas = iommufd.newIoas();
      const file = native.memfdCreate("chosen", 0);
      try {
        expect(native.ftruncate(file, PAGES * PAGE_SIZE)).toBe(0);
        const length = BigInt(PAGES) * PAGE;
        const values = { flags: READABLE | WRITEABLE, ioas_id: ioas, fd: file, start: 0, iova: BASE, length };
        const chosen = Array.from({ length: 3 }, () => {
          const { code, view } = askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values);
          expect(code).toBe("ok");
          return iommu_ioas_map_file.fields.iova.get(view);
        });
        expect(new Set(chosen).size).toBe(chosen.length);
        for (const iova of chosen) expect(iommufd.unmap(ioas, iova, length)).toEqual({ code: "ok", length });
        expect(iommufd.unmap(ioas, 0n, U64_MAX).length).toBe(0n);
      } finally {
        native.close(file);
      }
    });

    it("an_answer_that_cannot_be_written_leaves_no_object", () => {
      using iommufd = new IommufdFile();
      using fresh = new IommufdFile();
      using readOnly = new ReadOnlyArgument(words(iommu_ioas_alloc.size, 0, 0));
      expect(askPlainly(iommufd.file, { IOMMU_IOAS_ALLOC }, readOnly.address)).toBe("EFAULT");
      // The next one gets the number that it would have got without (iommufd_ioas_alloc_ioctl, out_table).
      expect(iommufd.newIoas()).toBe(fresh.newIoas());
    });

    it("answers_that_cannot_be_written", () => {
      using iommufd = new IommufdFile();
      using memory = DmaMemory.allocate(PAGE_SIZE);
      const ioas = iommufd.newIoas();
      expect(iommufd.map({ ioas, vaddr: memory.address, iova: BASE, length: PAGE }).code).toBe("ok");
      using option = new ReadOnlyArgument(words(24, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET, ioas, 0, 0));
      using ranges = new ReadOnlyArgument(words(32, ioas, 0, 0, 0, 0, 0, 0));
      const request = new StructView(iommu_ioas_unmap.size);
      request.u32[0] = iommu_ioas_unmap.size;
      iommu_ioas_unmap.fields.ioas_id.set(request, ioas);
      iommu_ioas_unmap.fields.iova.set(request, BASE);
      iommu_ioas_unmap.fields.length.set(request, PAGE);
      using unmap = new ReadOnlyArgument(request.bytes);
      expectAnswers<() => string>(
        {
          option: [() => askPlainly(iommufd.file, { IOMMU_OPTION }, option.address), "EFAULT"],
          ranges: [() => askPlainly(iommufd.file, { IOMMU_IOAS_IOVA_RANGES }, ranges.address), "EFAULT"],
          unmap: [() => askPlainly(iommufd.file, { IOMMU_IOAS_UNMAP }, unmap.address), "EFAULT"],
        },
        (ask) => ask(),
      );
    });

    it("lists_of_ranges_that_are_not_there", () => {
      using iommufd = new IommufdFile();
      const ioas = iommufd.newIoas();
      const allowed = [{ start: BASE, last: BASE + PAGE - 1n }];
      expect(iommufd.allow(ioas, allowed)).toBe("ok");
      const list = (request: number, bytes: number): string =>
        askPlainly(iommufd.file, { request }, words(bytes, ioas, 1, 0, NOWHERE, 0, 0, 0).subarray(0, bytes));
      expect(list(IOMMU_IOAS_IOVA_RANGES, 32)).toBe("EFAULT");
      expect(list(IOMMU_IOAS_ALLOW_IOVAS, 24)).toBe("EFAULT");
      // What was allowed before still is: a map that leaves the choice goes there.
      using memory = DmaMemory.allocate(PAGE_SIZE);
      expect(iommufd.chosen({ ioas, vaddr: memory.address, length: PAGE })).toBe(BASE);
    });
  });
}
