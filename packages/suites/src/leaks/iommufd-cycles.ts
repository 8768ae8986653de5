import { DmaMemory } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import {
  IOMMU_GET_HW_INFO,
  iommu_hw_info,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
} from "@vfio-selftests/core/uapi";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { TruncatedFile } from "../rigs/memory/truncated-file";
import { askKernel } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import { type Cycle, refused, repeating } from "./cycle";

const IOVA = 0x10_0000n;
const PAGES = 4;
const LENGTH = PAGES * PAGE_SIZE;
/** The kernel notes 8 bytes for each page (pin_memfd_pages): enough to be seen when they stay. */
const FILE_LENGTH = 16 * PAGE_SIZE;
/** IOMMU_HWPT_ALLOC has no such flag. */
const NO_FLAG = 2 ** 31;

/** What iommufd allocates for a real device: page tables, attachments, areas and what is pinned for them. */
export const IOMMUFD_CYCLES: readonly Cycle[] = [
  {
    name: "device_moves_between_address_spaces",
    times: 100,
    prepare: withSpace(({ device, iommufd, ioas }) => {
      const other = iommufd.newIoas();
      return () => {
        for (const place of [other, ioas]) if (device.attach(place).code !== "ok") throw new Error("not attached");
      };
    }),
  },
  {
    name: "page_table_with_mappings",
    prepare: withSpace((space) => {
      const { iommufd, deviceId, ioas } = space;
      if (space.map(IOVA, PAGES) !== "ok") throw new Error("not mapped");
      return () => {
        const { code, id } = iommufd.newPageTable(deviceId, ioas);
        if (code !== "ok" || iommufd.destroy(id) !== "ok") throw new Error("no page table came and went");
      };
    }),
  },
  {
    name: "mapping_that_is_copied",
    times: 300,
    prepare: withSpace((space) => {
      const { iommufd, ioas } = space;
      const other = iommufd.newIoas();
      const copy = { flags: 7, src_ioas_id: ioas, dst_ioas_id: other, src_iova: IOVA, dst_iova: IOVA, length: LENGTH };
      return () => {
        const codes = [space.map(IOVA, PAGES), iommufd.copy(copy).code];
        for (const place of [ioas, other]) codes.push(iommufd.unmap(place, IOVA, BigInt(LENGTH)).code);
        if (codes.some((code) => code !== "ok")) throw new Error(`map, copy, unmap: ${codes.join(", ")}`);
      };
    }),
  },
  {
    name: "mapping_of_a_file",
    times: 300,
    prepare: withSpace(({ iommufd, ioas }, { file }) => {
      requireMapFile(iommufd);
      const flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
      const values = { flags, ioas_id: ioas, fd: file.file?.fd ?? -1, length: file.length, iova: IOVA };
      return () => {
        const { code } = askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values);
        const unmapped = iommufd.unmap(ioas, IOVA, BigInt(file.length)).code;
        if (code !== "ok" || unmapped !== "ok") throw new Error(`map, unmap: ${code}, ${unmapped}`);
      };
    }),
  },
  {
    name: "what_the_hardware_is",
    prepare: withSpace(({ iommufd, deviceId }) => {
      const into = new Uint8Array(64);
      const values = { dev_id: deviceId, data_len: into.length };
      const links = [iommu_hw_info.fields.data_uptr.offset, into];
      return () => {
        const { code } = askKernel(iommufd.file, { IOMMU_GET_HW_INFO }, iommu_hw_info, values, { links });
        if (code !== "ok") throw new Error(code);
      };
    }),
  },
  {
    name: "allowed_iovas",
    prepare: withSpace(({ iommufd }) => {
      const ioas = iommufd.newIoas();
      const ranges = Array.from({ length: 8 }, (_, place) => {
        const start = BigInt(place) * IOVA;
        return { start, last: start + BigInt(PAGE_SIZE) - 1n };
      });
      return () => {
        if (iommufd.allow(ioas, ranges) !== "ok" || iommufd.allow(ioas, []) !== "ok") throw new Error("not allowed");
      };
    }),
  },
  {
    name: "iommufd_refuses",
    times: 300,
    prepare: withSpace((space, { shortened }) => {
      const { iommufd, device, deviceId, ioas } = space;
      expect(space.map(IOVA, PAGES)).toBe("ok");
      const copy = { flags: 7, src_ioas_id: ioas, dst_ioas_id: ioas, length: LENGTH };
      return refused({
        "an IOVA in use": [() => space.map(IOVA, PAGES), "EEXIST"],
        // The kernel has taken the first three pages when it meets the end of the file.
        "memory whose end is missing": [
          () => iommufd.map({ ioas, vaddr: shortened.address, length: LENGTH, iova: 2n * IOVA }).code,
          "EFAULT",
        ],
        "a copy of nothing": [() => iommufd.copy({ ...copy, src_iova: 2n * IOVA, dst_iova: 3n * IOVA }).code, "ENOENT"],
        "a copy onto itself": [() => iommufd.copy({ ...copy, src_iova: IOVA, dst_iova: IOVA }).code, "EEXIST"],
        "a page table of unknown kind": [() => iommufd.newPageTable(deviceId, ioas, NO_FLAG).code, "EOPNOTSUPP"],
        "a page table of no address space": [() => iommufd.newPageTable(deviceId, NO_SUCH_ID).code, "EINVAL"],
        "a place that is none": [() => device.attach(NO_SUCH_ID).code, "ENOENT"],
        "an address space in use": [() => iommufd.destroy(ioas), "EBUSY"],
      });
    }),
  },
];

/** Memory of files; of one the last page is missing. */
class Files implements Disposable {
  readonly file = DmaMemory.allocate(FILE_LENGTH, { backing: "memfd" });
  readonly shortened = new TruncatedFile(PAGES, PAGES - 1);

  [Symbol.dispose](): void {
    this.file.close();
    this.shortened[Symbol.dispose]();
  }
}

/** What needs a device that is attached to an address space. */
function withSpace(prepare: (space: AttachedSpace, files: Files) => () => void): Cycle["prepare"] {
  return (_mode, address) => {
    const space = new AttachedSpace(address);
    const files = new Files();
    const all = {
      [Symbol.dispose]: () =>
        closeAll("device and files", [() => space[Symbol.dispose](), () => files[Symbol.dispose]()]),
    };
    return repeating(() => prepare(space, files), all);
  };
}
