import type { IommuMode } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { noiommuGroupPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_GET_HW_INFO,
  iommu_hw_info,
  IOMMU_IOAS_NOIOMMU_GET_PA,
  iommu_ioas_noiommu_get_pa,
  O_RDWR,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { findCopyDriver } from "../rigs/dma/find-driver";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { NoiommuRig } from "../rigs/iommu/noiommu-rig";
import { pageFrame } from "../rigs/memory/page-frame";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, type Values } from "../rigs/raw/ask-kernel";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const MOST = (1n << 64n) - 1n;
const COPY = 16 * 1024;

/** Devices without an IOMMU by their own files, and where their memory is (Linux 7.3: drivers/iommu/iommufd/hwpt_noiommu.c). */
export function noiommuDeviceFile(target: SuiteTarget, mode: IommuMode, address: string): void {
  it("opens_and_reads_configuration", () => {
    using rig = new NoiommuRig(mode, address);
    expect([rig.device.config.vendorId, rig.device.config.deviceId]).toEqual([
      Number(readAttribute(systemPaths.pciDevice(address, "vendor"))),
      Number(readAttribute(systemPaths.pciDevice(address, "device"))),
    ]);
    for (const bar of rig.device.bars) if (bar.size > 0) expect(bar.region.size).toBe(bar.size);
  });

  it("group_is_not_open_beside_the_file", () => {
    using rig = new NoiommuRig(mode, address);
    const group = noiommuGroupPath(address);
    if (group === undefined) skip({ reason: "the device has no group", remedy: "use a kernel with CONFIG_VFIO_GROUP" });
    // vfio_device_block_group
    expect(native.open(group, O_RDWR)).toBe(-Errno.EBUSY);
    rig.device.close();
    const opened = native.open(group, O_RDWR);
    expect(opened).toBeGreaterThanOrEqual(0);
    native.close(opened);
  });

  it("physical_address_is_the_pages_own", () => {
    using rig = new NoiommuRig(mode, address);
    const region = rig.map();
    const offsets = [0n, 1n, PAGE - 1n, PAGE, 5n * PAGE + 123n];
    const told = offsets.map((offset) => rig.iommufd.ioas.physicalRange(region.iova + offset, 1n).address);
    expect(told).toEqual(offsets.map((offset) => physicalAddress(rig.memory.address + offset)));
  });

  it("contiguous_memory_is_told_at_once", () => {
    using rig = new NoiommuRig(mode, address);
    const { iova, length } = rig.map();
    const size = BigInt(length);
    const { ioas } = rig.iommufd;
    // iopt_get_phys: to the end of the mapping, and no more than was asked for.
    expect(ioas.physicalRange(iova, MOST).length).toBe(size);
    expect(ioas.physicalRange(iova, 3n * PAGE + 1n).length).toBe(3n * PAGE + 1n);
    expect(ioas.physicalRange(iova + size - 5n, MOST).length).toBe(5n);
    expect(ioas.physicalRange(iova + 100n).length).toBe(PAGE);
  });

  it("device_copies_by_physical_addresses", () => {
    using rig = new NoiommuRig(mode, address);
    const driver = findCopyDriver(target, rig.device);
    const { iova } = rig.map();
    const physical = rig.iommufd.ioas.physicalRange(iova, MOST);
    expect(physical.length).toBe(BigInt(rig.memory.length));
    using space = rig.physicalSpace();
    const regionLength = Math.ceil(driver.regionSize / PAGE_SIZE) * PAGE_SIZE;
    const piece = (offset: number, length: number) =>
      space.map(rig.memory, { offset, length, iova: physical.address + BigInt(offset) });
    const [from, to] = [regionLength, regionLength + COPY];
    const bytes = new Uint8Array(rig.memory.buffer);
    new PseudoRandom(7).fill(bytes.subarray(from, from + COPY));
    const instance = driver.create(rig.device, piece(0, regionLength));
    try {
      const size = Math.min(COPY, instance.limits.maxMemcpySize);
      instance.memcpyStart(piece(from, COPY).iova, piece(to, COPY).iova, size, 1);
      instance.memcpyWait();
      expect(Buffer.compare(bytes.subarray(to, to + size), bytes.subarray(from, from + size))).toBe(0);
      expect(bytes.subarray(from, from + size).some((byte) => byte !== 0)).toBe(true);
    } finally {
      instance.remove();
    }
  });

  it("mapped_pages_are_pinned", () => {
    using rig = new NoiommuRig(mode, address);
    const before = pinnedPages();
    const region = rig.map();
    expect(pinnedPages() - before).toBe(region.length / PAGE_SIZE);
    region.unmap();
    expect(pinnedPages()).toBe(before);
  });

  it("physical_address_is_refused", () => {
    using rig = new NoiommuRig(mode, address);
    const { iova } = rig.map();
    const ioas_id = rig.iommufd.ioas.id;
    using alone = rig.iommufd.newIoas();
    alone.copyMapping(rig.iommufd.ioas, { sourceIova: iova, length: PAGE_SIZE, iova });
    const valid = { ioas_id, iova, length: PAGE };
    expectAnswers<Values<typeof iommu_ioas_noiommu_get_pa>>(
      {
        // iommufd_ioas_noiommu_get_pa
        valid: [valid, "ok"],
        flags: [{ ...valid, flags: 1 }, "EOPNOTSUPP"],
        reserved: [{ ...valid, __reserved: 1 }, "EOPNOTSUPP"],
        no_bytes: [{ ...valid, length: 0 }, "EINVAL"],
        last_iova: [{ ...valid, iova: MOST }, "EOVERFLOW"],
        no_ioas: [{ ...valid, ioas_id: NO_SUCH_ID }, "ENOENT"],
        // iopt_get_phys
        not_mapped: [{ ...valid, iova: iova - 1n }, "ENOENT"],
        behind: [{ ...valid, iova: iova + BigInt(rig.memory.length) }, "ENOENT"],
        without_device: [{ ...valid, ioas_id: alone.id }, "EOPNOTSUPP"],
      },
      (values) => askKernel(rig.iommufd.file, { IOMMU_IOAS_NOIOMMU_GET_PA }, iommu_ioas_noiommu_get_pa, values).code,
    );
  });

  it("detached_device_leaves_no_physical_addresses", () => {
    using rig = new NoiommuRig(mode, address);
    const { iova } = rig.map();
    const { tie } = rig;
    tie.detach();
    expect(() => rig.iommufd.ioas.physicalRange(iova)).toThrow(
      expect.objectContaining({ errno: Errno.EOPNOTSUPP }) as Error,
    );
    tie.attach(rig.iommufd.ioas);
    expect(rig.iommufd.ioas.physicalRange(iova).address).toBe(physicalAddress(rig.memory.address));
  });

  it("there_is_no_hardware_to_tell_of", () => {
    using rig = new NoiommuRig(mode, address);
    const dev_id = rig.tie.id;
    // iommufd_get_hw_info
    expect(askKernel(rig.iommufd.file, { IOMMU_GET_HW_INFO }, iommu_hw_info, { dev_id }).code).toBe("EOPNOTSUPP");
  });
}

/** The physical address of memory of this process. */
function physicalAddress(address: bigint): bigint {
  return pageFrame(address) * PAGE + (address % PAGE);
}
