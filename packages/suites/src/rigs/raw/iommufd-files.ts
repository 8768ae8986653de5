import { type IovaRange } from "@vfio-selftests/core";
import { systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_DESTROY,
  iommu_destroy,
  IOMMU_HWPT_ALLOC,
  iommu_hwpt_alloc,
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  IOMMU_IOAS_ALLOW_IOVAS,
  iommu_ioas_allow_iovas,
  IOMMU_IOAS_COPY,
  iommu_ioas_copy,
  IOMMU_IOAS_IOVA_RANGES,
  iommu_ioas_iova_ranges,
  IOMMU_IOAS_MAP,
  iommu_ioas_map,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_unmap,
  iommu_iova_range,
  IOMMU_OPTION,
  iommu_option,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_ATTACH_PASID,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_detach_iommufd_pt,
} from "@vfio-selftests/core/uapi";
import { KernelFile, type KernelFileAccess, realKernel } from "@vfio-selftests/iommu-modes";
import { requireIommufd } from "../kernel/require-iommufd";
import { type Answer, askKernel, type AskOptions } from "./ask-kernel";

/** No object of a test gets so far. */
export const NO_SUCH_ID = 0x7fff_fff0;

/** Behind the room for an answer, where the kernel must not write. */
const GUARD_BYTE = 0xa5;
const READ_WRITE = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;

/** A map of `length` bytes at `vaddr`. Without `iova` the kernel chooses. */
export interface IoasMapRequest {
  readonly ioas: number;
  readonly vaddr: bigint;
  readonly length: bigint | number;
  readonly iova?: bigint;
  /** Without FIXED_IOVA, which `iova` sets. */
  readonly flags?: number;
}

/** An iommufd whose requests say exactly what the test says. The answers are the kernel's. */
export class IommufdFile implements Disposable {
  readonly file: KernelFileAccess;
  readonly #own: KernelFile | undefined;

  /** Opens a new iommufd, or uses `file`, which its owner closes. Skips the test where the kernel has no iommufd. */
  constructor(file?: KernelFileAccess) {
    if (file === undefined) requireIommufd();
    this.#own = file === undefined ? KernelFile.open(realKernel, systemPaths.dev("iommu")) : undefined;
    this.file = file ?? (this.#own as KernelFile);
  }

  /** Makes an address space and returns its id. */
  newIoas(): number {
    const { code, view } = askKernel(this.file, { IOMMU_IOAS_ALLOC }, iommu_ioas_alloc, {});
    expect(code).toBe("ok");
    return iommu_ioas_alloc.fields.out_ioas_id.get(view);
  }

  destroy(id: number): string {
    return askKernel(this.file, { IOMMU_DESTROY }, iommu_destroy, { id }).code;
  }

  map({ ioas, vaddr, length, iova, flags = READ_WRITE }: IoasMapRequest, options: AskOptions = {}): Answer {
    const values = {
      flags: iova === undefined ? flags : flags | IOMMU_IOAS_MAP_FIXED_IOVA,
      ioas_id: ioas,
      user_va: vaddr,
      length,
      iova: iova ?? 0n,
    };
    return askKernel(this.file, { IOMMU_IOAS_MAP }, iommu_ioas_map, values, options);
  }

  /** Maps where the kernel chooses, and returns that IOVA. */
  chosen(request: Omit<IoasMapRequest, "iova">): bigint {
    const { code, view } = this.map(request);
    expect(code).toBe("ok");
    return iommu_ioas_map.fields.iova.get(view);
  }

  copy(values: Parameters<typeof askKernel<typeof iommu_ioas_copy.fields>>[3]): Answer {
    return askKernel(this.file, { IOMMU_IOAS_COPY }, iommu_ioas_copy, values);
  }

  /** `length`: the bytes that the kernel reports as unmapped. */
  unmap(ioas: number, iova: bigint, length: bigint): { code: string; length: bigint } {
    const { code, view } = askKernel(this.file, { IOMMU_IOAS_UNMAP }, iommu_ioas_unmap, {
      ioas_id: ioas,
      iova,
      length,
    });
    return { code, length: iommu_ioas_unmap.fields.length.get(view) };
  }

  /** IOMMU_IOAS_IOVA_RANGES with room for `room` ranges. */
  ranges(ioas: number, room: number): { code: string; count: number; alignment: bigint; ranges: IovaRange[] } {
    const { num_iovas, allowed_iovas, out_iova_alignment } = iommu_ioas_iova_ranges.fields;
    const into = new Uint8Array((room + 1) * iommu_iova_range.size).fill(GUARD_BYTE);
    const { code, view } = askKernel(
      this.file,
      { IOMMU_IOAS_IOVA_RANGES },
      iommu_ioas_iova_ranges,
      { ioas_id: ioas, num_iovas: room },
      { links: [allowed_iovas.offset, into] },
    );
    const count = num_iovas.get(view);
    const behind = into.subarray(room * iommu_iova_range.size);
    expect({ room, behind: [...behind] }).toEqual({ room, behind: new Array(behind.length).fill(GUARD_BYTE) });
    const { start, last } = iommu_iova_range.fields;
    const ranges = Array.from({ length: Math.min(count, room) }, (_, number) => {
      const range = iommu_iova_range.copyOf(into, number * iommu_iova_range.size);
      return { start: start.get(range), last: last.get(range) };
    });
    return { code, count, alignment: out_iova_alignment.get(view), ranges };
  }

  allow(ioas: number, ranges: readonly IovaRange[]): string {
    const bytes = new Uint8Array(BigUint64Array.from(ranges.flatMap(({ start, last }) => [start, last])).buffer);
    const values = { ioas_id: ioas, num_iovas: ranges.length };
    const links = ranges.length === 0 ? [] : [iommu_ioas_allow_iovas.fields.allowed_iovas.offset, bytes];
    return askKernel(this.file, { IOMMU_IOAS_ALLOW_IOVAS }, iommu_ioas_allow_iovas, values, { links }).code;
  }

  /** IOMMU_OPTION: reads an option's value. */
  option(option: number, object: number): { code: string; value: bigint } {
    const values = { option_id: option, op: IOMMU_OPTION_OP_GET, object_id: object };
    const { code, view } = askKernel(this.file, { IOMMU_OPTION }, iommu_option, values);
    return { code, value: iommu_option.fields.val64.get(view) };
  }

  setOption(option: number, object: number, value: bigint | number): string {
    const values = { option_id: option, op: IOMMU_OPTION_OP_SET, object_id: object, val64: value };
    return askKernel(this.file, { IOMMU_OPTION }, iommu_option, values).code;
  }

  newPageTable(device: number, ioas: number, flags = 0): { code: string; id: number } {
    const values = { dev_id: device, pt_id: ioas, flags };
    const { code, view } = askKernel(this.file, { IOMMU_HWPT_ALLOC }, iommu_hwpt_alloc, values);
    return { code, id: iommu_hwpt_alloc.fields.out_hwpt_id.get(view) };
  }

  [Symbol.dispose](): void {
    this.#own?.close();
  }
}

/** A device's own file, just opened: of a PCI device by its address, of any other as it is. */
export class DeviceFile implements Disposable {
  readonly file: KernelFile;

  constructor(device: string | KernelFile) {
    this.file = typeof device === "string" ? KernelFile.open(realKernel, vfioCdevPath(device)) : device;
  }

  /** `id`: iommufd's id of the device. */
  bind(iommufd: { readonly file: KernelFileAccess } | number): { code: string; id: number } {
    const descriptor = typeof iommufd === "number" ? iommufd : iommufd.file.descriptor("VFIO_DEVICE_BIND_IOMMUFD");
    const { token_uuid_ptr, out_devid } = vfio_device_bind_iommufd.fields;
    const { code, view } = askKernel(
      this.file,
      { VFIO_DEVICE_BIND_IOMMUFD },
      vfio_device_bind_iommufd,
      { iommufd: descriptor },
      { said: token_uuid_ptr.offset },
    );
    return { code, id: out_devid.get(view) };
  }

  /** `id`: the page table that the kernel uses. */
  attach(pageTable: number, pasid?: number): { code: string; id: number } {
    const values = { pt_id: pageTable, ...(pasid !== undefined && { flags: VFIO_DEVICE_ATTACH_PASID, pasid }) };
    const layout = vfio_device_attach_iommufd_pt;
    const { code, view } = askKernel(this.file, { VFIO_DEVICE_ATTACH_IOMMUFD_PT }, layout, values);
    return { code, id: layout.fields.pt_id.get(view) };
  }

  detach(): string {
    return askKernel(this.file, { VFIO_DEVICE_DETACH_IOMMUFD_PT }, vfio_device_detach_iommufd_pt, {}).code;
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}
