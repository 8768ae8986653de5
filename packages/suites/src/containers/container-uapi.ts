import { DmaMemory } from "@vfio-selftests/core";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_CC_IOMMU,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dirty_bitmap,
  vfio_iommu_type1_dma_unmap,
  vfio_iommu_type1_info,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
  vfio_iommu_type1_info_cap_migration,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_NOIOMMU_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, GuardedValue, notChecked } from "@vfio-selftests/harness";
import { ECAP, intelExtendedCapabilities, intelSuperPages } from "../rigs/iommu/intel-capabilities";
import { ioPageTableEntry } from "../rigs/iommu/io-page-table";
import { inModesOf } from "../rigs/iommu/modes-of";
import { usableIovas } from "../rigs/iommu/reserved-regions";
import { isOlderThan } from "../rigs/kernel/brought-by-linux";
import { requireHugeSharedMemory } from "../rigs/memory/huge-shared-memory";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, bytesOf, codeOf, NO_ADDRESS, resultOf } from "../rigs/raw/ask-kernel";
import {
  type Chain,
  chainOf,
  INFO,
  info,
  map,
  mappingsLeft,
  rangesOf,
  ready,
  ROOM,
  unmapAll,
} from "../rigs/raw/container-requests";
import { GroupFiles } from "../rigs/raw/group-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const MIB = 1024 ** 2;
const BASE = 0x4000_0000n;
/** VFIO_TYPE1_NESTING_IOMMU of older kernels. */
const TYPE1_NESTING = 6;
const EXTENSIONS = 32;

/** The ioctls of a container's file in each state (drivers/vfio/container.c, vfio_iommu_type1.c, vfio_compat.c). */
export function containerUapiSuite(target: SuiteTarget): void {
  const containers = inModesOf(target, "container");
  fixture("vfio_container_uapi", target, (address) => {
    eachMode(containers, (mode) => {
      it("tells_the_version_of_the_interface", () => {
        using files = new GroupFiles(mode, address);
        expect(resultOf(files.container, { VFIO_GET_API_VERSION })).toBe(VFIO_API_VERSION);
      });

      it("tells_the_extensions_that_it_has_in_each_state", () => {
        using files = new GroupFiles(mode, address);
        expect(extensions(files)).toEqual(expectedExtensions(files, "empty"));
        expect(files.setContainer()).toBe("ok");
        expect(extensions(files)).toEqual(expectedExtensions(files, "group"));
        expect(files.setIommu()).toBe("ok");
        using device = files.openDevice();
        expect(device.closed).toBe(false);
        expect(extensions(files)).toEqual(expectedExtensions(files, "device"));
      });

      it("takes_an_iommu_once_and_only_with_a_group", () => {
        using files = new GroupFiles(mode, address);
        // vfio_ioctl_set_iommu; iommufd has no address space before a group is set (get_compat_ioas).
        const withoutGroup = files.isType1 ? "EINVAL" : "ENODEV";
        for (const type of [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU]) expect(files.setIommu(type)).toBe(withoutGroup);
        expect(files.setContainer()).toBe("ok");
        const unknownType = files.isType1 ? "ENODEV" : "EINVAL";
        for (const type of [0, 2, VFIO_DMA_CC_IOMMU, 5, VFIO_NOIOMMU_IOMMU, 31]) {
          expect({ type, code: files.setIommu(type) }).toEqual({ type, code: unknownType });
        }
        // This extension is no type of IOMMU: the driver reports that it has it, and cannot open it.
        expect(files.setIommu(VFIO_UNMAP_ALL)).toBe("EINVAL");
        expect(files.setIommu()).toBe("ok");
        if (files.isType1) {
          expect(files.setIommu()).toBe("EINVAL");
          expect(files.setIommu(VFIO_TYPE1_IOMMU)).toBe("EINVAL");
        }
      });

      it("has_nothing_to_map_in_before_its_iommu", () => {
        using files = new GroupFiles(mode, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const refused = () => ({
          info: info(files, 24).code,
          map: map(files, memory, BASE).code,
          unmap: unmapAll(files).code,
        });
        // vfio_fops_unl_ioctl; get_compat_ioas.
        const code = files.isType1 ? "EINVAL" : "ENODEV";
        expect(refused()).toEqual({ info: code, map: code, unmap: code });
        expect(files.setContainer()).toBe("ok");
        if (files.isType1) expect(refused()).toEqual({ info: code, map: code, unmap: code });
        expect(files.setIommu()).toBe("ok");
        expect(refused()).toEqual({ info: "ok", map: "ok", unmap: "ok" });
        expect(files.unsetContainer()).toBe("ok");
        // Without a group VFIO's container is as new. iommufd's keeps its IOAS (iommufd_vfio_compat_ioas_create).
        if (files.isType1) expect(refused()).toEqual({ info: code, map: code, unmap: code });
        else expect(refused()).toEqual({ info: "ok", map: "ok", unmap: "ok" });
      });

      it("mappings_end_with_the_last_group", () => {
        using files = ready(mode, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        expect(map(files, memory, BASE).code).toBe("ok");
        expect(map(files, memory, BASE).code).toBe("EEXIST");
        expect(files.unsetContainer()).toBe("ok");
        expect(files.setContainer()).toBe("ok");
        expect(files.setIommu()).toBe("ok");
        expect(map(files, memory, BASE).code).toBe(files.isType1 ? "ok" : "EEXIST");
      });

      it("other_requests_are_refused", () => {
        using files = new GroupFiles(mode, address);
        const unknown = [0x3b64 - 1, 0x3bff, 0x3b6f] as const;
        const ask = () => unknown.map((request) => askPlainly(files.container, { request }));
        expect(ask()).toEqual(unknown.map(() => (files.isType1 ? "EINVAL" : "ENOTTY")));
        expect(files.setContainer()).toBe("ok");
        expect(files.setIommu()).toBe("ok");
        expect(ask()).toEqual(unknown.map(() => "ENOTTY"));
        const dirty = askKernel(files.container, { VFIO_IOMMU_DIRTY_PAGES }, vfio_iommu_type1_dirty_bitmap, {
          flags: 1,
        });
        // Version 1 has no dirty tracking (vfio_iommu_type1_dirty_pages). iommufd has other ioctls for it.
        if (!files.isType1) expect(dirty.code).toBe("ENOTTY");
        else expect(dirty.code).toBe(files.type === VFIO_TYPE1_IOMMU ? "EACCES" : "ok");
      });

      it("arguments_that_cannot_be_read_are_refused", () => {
        using files = ready(mode, address);
        for (const named of [{ VFIO_IOMMU_GET_INFO }, { VFIO_IOMMU_MAP_DMA }, { VFIO_IOMMU_UNMAP_DMA }]) {
          expect({ ...named, code: askPlainly(files.container, named, NO_ADDRESS) }).toEqual({
            ...named,
            code: "EFAULT",
          });
        }
      });

      it("answers_that_cannot_be_written_are_refused", () => {
        using files = ready(mode, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const ask = (named: Readonly<Record<string, number>>, bytes: Uint8Array): string => {
          using readOnly = new ReadOnlyArgument(bytes);
          return askPlainly(files.container, named, readOnly.address);
        };
        const infoLayout = vfio_iommu_type1_info;
        expect(ask({ VFIO_IOMMU_GET_INFO }, bytesOf(infoLayout, { argsz: infoLayout.size }))).toBe("EFAULT");
        expect(map(files, memory, BASE).code).toBe("ok");
        const { size } = vfio_iommu_type1_dma_unmap;
        const unmap = bytesOf(vfio_iommu_type1_dma_unmap, { argsz: size, iova: BASE, size: PAGE });
        expect(ask({ VFIO_IOMMU_UNMAP_DMA }, unmap)).toBe("EFAULT");
        // The mapping is gone, although nobody could be told.
        expect(map(files, memory, BASE).code).toBe("ok");
      });

      it("info_needs_room_and_tells_how_much", () => {
        using files = ready(mode, address);
        const needed = INFO.argsz.get(info(files, 24).view);
        const whole = chainOf(info(files, ROOM));
        expectAnswers(
          {
            nothing: [0, "EINVAL"],
            a_byte_less_than_page_sizes: [15, "EINVAL"],
            page_sizes_alone: [16, "ok"],
            without_capabilities: [24, "ok"],
            a_byte_less_than_all: [needed - 1, "ok"],
            all: [needed, "ok"],
          },
          (said) => info(files, ROOM, said).code,
        );
        for (const said of [16, 24, needed - 1]) {
          const { view } = info(files, ROOM, said);
          expect({ said, needed: INFO.argsz.get(view) }).toEqual({ said, needed });
          // No offset may point past the caller's bytes, and the kernel leaves alone what lies there.
          expect({ said, offset: INFO.cap_offset.get(view) }).toEqual({ said, offset: 0 });
          if (files.isType1 || said <= 24) {
            expect(view.bytes.subarray(Math.max(said, 24)).every((byte) => byte === 0)).toBe(true);
          }
        }
        const lengths = (chain: Chain) => Object.values(chain.capabilities).map(({ offset }) => offset);
        expect(lengths(chainOf(info(files, needed)))).toEqual(lengths(whole));
        expect(whole.flags).toBe(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
      });

      it("info_tells_each_capability_once_and_what_is_true", () => {
        using files = ready(mode, address);
        const { capabilities, pageSizes } = chainOf(info(files, ROOM));
        const ids = files.isType1
          ? [VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL]
          : [VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL];
        expect(Object.keys(capabilities).map(Number).sort()).toEqual(ids);
        expect(Object.values(capabilities).map(({ version }) => version)).toEqual(ids.map(() => 1));
        expect(rangesOf(capabilities)).toEqual(usableIovas(address, rangesOf(capabilities).at(-1)?.last ?? 0n));
        expect(pageSizes & (2n * PAGE - 1n)).toBe(PAGE);
        const superPages = intelSuperPages();
        if (superPages !== undefined && files.isType1) expect(pageSizes & ~PAGE).toBe(superPages);
        const migration = capabilities[VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION];
        if (migration === undefined) return;
        const { flags, pgsize_bitmap, max_dirty_bitmap_size } = vfio_iommu_type1_info_cap_migration.fields;
        const view = vfio_iommu_type1_info_cap_migration.copyOf(migration.bytes);
        expect([flags.get(view), pgsize_bitmap.get(view), max_dirty_bitmap_size.get(view)]).toEqual([
          0,
          PAGE,
          // DIRTY_BITMAP_SIZE_MAX: a bit for each of 2^31 - 1 pages.
          1n << 28n,
        ]);
      });

      it("counts_the_mappings_that_can_still_be_made", () => {
        using files = ready(mode, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const left = () => mappingsLeft(files);
        if (!files.isType1) {
          // iommufd has no limit of its own (iommufd_fill_cap_dma_avail).
          expect(left()).toBe(0xffff_ffff);
          expect(map(files, memory, BASE).code).toBe("ok");
          expect(left()).toBe(0xffff_ffff);
          return;
        }
        const limit = Number(readAttribute(parameter("dma_entry_limit")));
        expect(left()).toBe(limit);
        for (let count = 1; count <= 3; count++) {
          expect(map(files, memory, BASE + BigInt(count) * PAGE).code).toBe("ok");
          expect(left()).toBe(limit - count);
        }
        // A failed map uses none up, whether it fails early or late.
        expect(map(files, memory, BASE + PAGE).code).toBe("EEXIST");
        expect(map(files, memory, BASE + 16n * PAGE, 0n).code).toBe("EFAULT");
        expect(left()).toBe(limit - 3);
        expect(unmapAll(files).code).toBe("ok");
        expect(left()).toBe(limit);
      });

      it("maps_small_pages_when_it_is_told_to", () => {
        requireHugeSharedMemory();
        using hugePages = new GuardedValue(parameter("disable_hugepages"));
        using memory = DmaMemory.allocate(2 * MIB, { backing: "shared", alignment: 2 * MIB });
        const pageSize = () => {
          using files = ready(mode, address);
          expect(map(files, memory, BASE, memory.address, 2 * MIB).code).toBe("ok");
          const entry = ioPageTableEntry(address, BASE);
          if (entry.readable) return entry.pageSize;
          notChecked("page size in the IOMMU's page table", entry.reason);
          return undefined;
        };
        const large = pageSize();
        hugePages.set("Y");
        const small = pageSize();
        if (large === undefined) return;
        // vfio_pin_pages_remote pins page by page. iommufd's version 1 never has large pages (iommufd_vfio_set_iommu).
        if (mode.traits.mapsRegisters) expect([large, small]).toEqual([2 * MIB, PAGE_SIZE]);
        else if (mode.traits.splitsMappings) expect([large, small]).toEqual([PAGE_SIZE, PAGE_SIZE]);
        else expect([large, small]).toEqual([2 * MIB, 2 * MIB]);
      });

      it("refuses_more_mappings_than_the_limit", () => {
        using limit = new GuardedValue(parameter("dma_entry_limit"));
        limit.set(2);
        using files = ready(mode, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const maps = [1n, 2n, 3n].map((page) => map(files, memory, BASE + page * PAGE).code);
        // Type 1 has this limit (vfio_dma_do_map), iommufd does not.
        expect(maps).toEqual(["ok", "ok", files.isType1 ? "ENOSPC" : "ok"]);
        if (!files.isType1) return;
        expect(mappingsLeft(files)).toBe(0);
        expect(unmapAll(files).code).toBe("ok");
        expect(map(files, memory, BASE + 3n * PAGE).code).toBe("ok");
        expect(mappingsLeft(files)).toBe(1);
      });
    });
  });
}

/** A parameter of the type 1 driver. */
function parameter(name: string): string {
  return systemPaths.sys("module", "vfio_iommu_type1", "parameters", name);
}

/** The answer to each extension's number. */
function extensions({ container }: GroupFiles): Record<number, number | string> {
  return Object.fromEntries(
    Array.from({ length: EXTENSIONS }, (_, number) => {
      const result = resultOf(container, { VFIO_CHECK_EXTENSION }, number);
      return [number, result < 0 ? codeOf(result) : result];
    }),
  );
}

type ContainerState = "empty" | "group" | "device";

/** vfio_iommu_type1_check_extension and vfio_container_ioctl_check_extension; iommufd_vfio_check_extension. */
function expectedExtensions({ isType1 }: GroupFiles, state: ContainerState): Record<number, number | string> {
  const expected: Record<number, number | string> = {};
  for (let number = 0; number < EXTENSIONS; number++) expected[number] = 0;
  for (const type of [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL]) expected[type] = 1;
  if (isType1) {
    expected[VFIO_UPDATE_VADDR] = state === "device" ? 1 : 0;
    // Without a no-IOMMU group, the container asks no no-IOMMU driver (vfio_iommu_driver_allowed).
    expected[VFIO_NOIOMMU_IOMMU] = 0;
    // Linux 6.13 took it away.
    expected[TYPE1_NESTING] = isOlderThan("6.13") ? 1 : 0;
    expected[VFIO_DMA_CC_IOMMU] = state === "device" ? enforcesCoherency() : 0;
  } else {
    expected[VFIO_NOIOMMU_IOMMU] = 1;
    expected[VFIO_DMA_CC_IOMMU] = { empty: "ENODEV", group: 1, device: enforcesCoherency() }[state];
  }
  return expected;
}

/** 1 where every IOMMU can enforce snooping (intel_iommu_enforce_cache_coherency_ss); other vendors' always can. */
function enforcesCoherency(): number {
  return intelExtendedCapabilities().every((capabilities) => (capabilities & ECAP.snoopControl) !== 0n) ? 1 : 0;
}
