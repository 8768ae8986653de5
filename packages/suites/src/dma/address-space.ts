import { DmaMemory, Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, eachMode, errorWithCode, fixture, skip } from "@vfio-selftests/harness";
import { devicesOfOneGroup } from "../devices/group-members";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
/** VT-d 4.1, sections 11.4.2 and 11.4.3: the shift of SLLPS (2 MiB, 1 GiB), and SMTS. */
const LARGE_PAGES = 34n;
const SCALABLE_MODE = 1n << 43n;

/** I/O address spaces beyond upstream's map and unmap of one region. */
export function addressSpaceSuite(target: SuiteTarget): void {
  fixture("vfio_address_space", target, (address) => {
    eachMode(target, (mode) => {
      it("ranges_are_sorted_and_disjoint", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const ranges = iommu.iovaRanges();
        expect(ranges.length).toBeGreaterThan(0);
        let previous = -1n;
        for (const { start, last } of ranges) {
          expect(start).toBeGreaterThan(previous);
          expect(last).toBeGreaterThan(start);
          previous = last;
        }
      });

      it("page_sizes_include_the_base_page", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        expect(iommu.pageSizes() & BigInt(PAGE_SIZE)).toBe(BigInt(PAGE_SIZE));
      });

      // Iommufd itself tells no sizes.
      if (mode.traits.container !== undefined) {
        it("page_sizes_are_the_iommus", () => {
          const register = (name: string) =>
            readAttribute(systemPaths.pciDevice(address, "iommu", "intel-iommu", name))?.trim();
          const [capabilities, extended] = [register("cap"), register("ecap")];
          if (capabilities === undefined || extended === undefined) {
            skip({ reason: "the IOMMU is not Intel's", remedy: "vfio-selftests lab run --iommu intel" });
          }
          if ((BigInt(`0x${extended}`) & SCALABLE_MODE) !== 0n) {
            skip({ reason: "the page table may be of the first stage", remedy: "use an IOMMU without scalable mode" });
          }
          const large = (BigInt(`0x${capabilities}`) >> LARGE_PAGES) & 3n;
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          expect(iommu.pageSizes()).toBe(
            BigInt(PAGE_SIZE) | ((large & 1n) * BigInt(2 * MIB)) | ((large >> 1n) * BigInt(1024 * MIB)),
          );
        });
      }

      it("overlapping_map_is_refused", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        using first = iommu.map(memory, { length: PAGE_SIZE });
        expect(() => iommu.map(memory, { iova: first.iova, length: PAGE_SIZE })).toThrow(errorWithCode("EEXIST"));
        expect(first.mapped).toBe(true);
      });

      it("misaligned_map_is_refused", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        using first = iommu.map(memory);
        const { iova } = first;
        first.unmap();
        expect(() => iommu.map(memory, { iova: iova + 1n, length: PAGE_SIZE })).toThrow(errorWithCode("EINVAL"));
      });

      it("unmap_of_nothing_takes_nothing", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        using region = iommu.map(memory);
        const { iova } = region;
        region.unmap();
        // Type 1 counts 0 bytes; iommufd itself says that there is nothing.
        if (mode.traits.api === "iommufd") {
          expect(() => iommu.unmapRange(iova, BigInt(PAGE_SIZE))).toThrow(errorWithCode("ENOENT"));
        } else {
          expect(iommu.unmapRange(iova, BigInt(PAGE_SIZE))).toBe(0n);
        }
      });

      it("unmap_all_counts_every_mapping", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(8 * PAGE_SIZE);
        for (let page = 0; page < 8; page += 2) iommu.map(memory, { offset: page * PAGE_SIZE, length: PAGE_SIZE });
        expect(iommu.unmapAll()).toBe(BigInt(4 * PAGE_SIZE));
        expect(iommu.regions).toHaveLength(0);
      });

      it("range_unmap_spans_several_mappings", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(4 * PAGE_SIZE);
        using space = iommu.reserveIova(4 * PAGE_SIZE);
        for (let page = 0; page < 4; page++) {
          iommu.map(memory, {
            iova: space.iova + BigInt(page * PAGE_SIZE),
            offset: page * PAGE_SIZE,
            length: PAGE_SIZE,
          });
        }
        expect(iommu.unmapRange(space.iova, BigInt(4 * PAGE_SIZE))).toBe(BigInt(4 * PAGE_SIZE));
      });

      it("unmap_of_a_part_follows_the_mode", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(4 * PAGE_SIZE);
        using region = iommu.map(memory);
        const unmapPart = () => iommu.unmapRange(region.iova, BigInt(PAGE_SIZE));
        if (mode.traits.api === "iommufd") {
          expect(unmapPart).toThrow(errorWithCode("ENOENT"));
        } else if (!mode.traits.splitsMappings) {
          // The type 1 driver says EINVAL; iommufd's compatibility passes its own ENOENT on.
          expect(unmapPart).toThrow(VfioError);
        } else {
          // Type 1's version 1 takes the whole mapping that starts in the range; iommufd's cuts it (iopt_cut_iova). The
          // books know what is left.
          const unmapped = unmapPart();
          expect(unmapped).toBeGreaterThanOrEqual(BigInt(PAGE_SIZE));
          const rest = iommu.regions.map((left) => left.unmap());
          expect(rest.reduce((sum, bytes) => sum + bytes, unmapped)).toBe(BigInt(4 * PAGE_SIZE));
        }
      });

      it("lookups_go_both_ways", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(4 * PAGE_SIZE);
        using region = iommu.map(memory);
        const inside = 3n * BigInt(PAGE_SIZE) + 17n;
        expect(iommu.iovaOf(memory.address + inside)).toBe(region.iova + inside);
        expect(iommu.regionAt(region.iova + inside)).toBe(region);
        expect(iommu.regionAt(region.iova + BigInt(region.length))).toBeUndefined();
      });

      it("freed_iovas_are_used_again", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const request = { alignment: PAGE_SIZE, below: 2n ** 32n };
        const iovas = Array.from({ length: 8 }, () => {
          const region = iommu.map(memory, request);
          region.unmap();
          return region.iova;
        });
        expect(new Set(iovas).size).toBe(1);
      });

      it("memory_that_is_mapped_cannot_be_freed", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        using region = iommu.map(memory);
        expect(() => memory.close()).toThrow(errorWithCode("ERR_STILL_MAPPED"));
        expect(region.mapped).toBe(true);
      });

      it("maps_every_backing", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        for (const backing of ["anonymous", "shared", "memfd"] as const) {
          using memory = DmaMemory.allocate(2 * MIB, { backing });
          using region = iommu.map(memory);
          expect(region.unmap()).toBe(BigInt(2 * MIB));
        }
      });

      it("maps_read_only_memory", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        for (const access of ["read", "write", "read-write"] as const) {
          using region = iommu.map(memory, { access });
          expect(region.access).toBe(access);
        }
      });

      it("reopens_the_device_after_close", () => {
        for (let round = 0; round < 3; round++) {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          expect(device.config.vendorId).not.toBe(0xffff);
        }
      });

      it("second_open_is_refused_and_names_the_cause", () => {
        using iommu = new Iommu(mode.open());
        using other = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        // A group's file gives EBUSY, a second bind of a device's file EINVAL. The remedy says who holds it.
        const held = expect.stringMatching(/other use/) as string;
        const code = mode.traits.api === "iommufd" ? "EINVAL" : "EBUSY";
        expect(() => PciDevice.open(other, address)).toThrow(expect.objectContaining({ code, remedy: held }) as Error);
      });
    });
  });

  fixture("vfio_address_space_chosen_by_kernel", target, (address) => {
    const mode = defaultMode(target);
    eachMode({ ...target, modes: [mode] }, () => {
      it("iovas_do_not_overlap", () => {
        using iommu = new Iommu(mode.open());
        if (!iommu.backend.choosesIova) {
          skip({ reason: `mode ${mode.name} leaves the choice of IOVAs to the user`, remedy: "use mode iommufd" });
        }
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(16 * PAGE_SIZE);
        const regions = Array.from({ length: 16 }, (_, page) =>
          iommu.map(memory, { offset: page * PAGE_SIZE, length: PAGE_SIZE, iova: "kernel" }),
        );
        expect(new Set(regions.map(({ iova }) => iova)).size).toBe(16);
        const ranges = iommu.iovaRanges();
        for (const { iova } of regions) {
          expect(ranges.some(({ start, last }) => iova >= start && iova + BigInt(PAGE_SIZE) - 1n <= last)).toBe(true);
        }
        expect(iommu.unmapAll()).toBe(BigInt(16 * PAGE_SIZE));
      });
    });
  });

  severalDevicesSuite(target);
}

/** Several devices in one address space. Upstream's library cannot open two of one IOMMU group in container modes. */
function severalDevicesSuite(target: SuiteTarget): void {
  describe("vfio_shared_address_space", () => {
    eachMode(target, (mode) => {
      it("two_devices", () => {
        const [first, second] = target.devices;
        if (first === undefined || second === undefined) {
          skip({ reason: "the run has one device", remedy: "name two: -d ADDRESS -d ADDRESS" });
        }
        using iommu = new Iommu(mode.open());
        using one = PciDevice.open(iommu, first);
        using memory = DmaMemory.allocate(PAGE_SIZE);
        using region = iommu.map(memory);
        // A device that is opened later finds the mappings. A device that is closed takes none with it.
        const two = PciDevice.open(iommu, second);
        expect([one.config.vendorId, two.config.vendorId]).not.toContain(0xffff);
        two.close();
        expect(region.unmap()).toBe(BigInt(PAGE_SIZE));
      });

      it("devices_of_one_group", () => {
        const addresses = devicesOfOneGroup(target.devices);
        using iommu = new Iommu(mode.open());
        const devices = addresses.map((address) => PciDevice.open(iommu, address));
        using memory = DmaMemory.allocate(PAGE_SIZE);
        using region = iommu.map(memory);
        for (const device of devices) expect(device.config.vendorId).not.toBe(0xffff);
        const [first, ...others] = devices;
        first?.close();
        for (const device of others) {
          expect(device.config.vendorId).not.toBe(0xffff);
          device.close();
        }
        expect(region.unmap()).toBe(BigInt(PAGE_SIZE));
      });
    });
  });
}
