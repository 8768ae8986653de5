import { readFileSync } from "node:fs";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import type { NativeIo } from "@vfio-selftests/native";
import { PATTERN, type RegionRig } from "../rigs/device/region-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { RawDevice } from "../rigs/raw/raw-device";

/** Offset in the power management capability, and its deepest state (PCI-PM 1.2, section 3.2.4). */
const PMCSR = 4;
const D3_HOT = 3;
const EFAULT = -14;

/** Registers by mappings of the device's file: which there are, and when they lead nowhere. */
export function regionMappingTests({ device, raw, withPattern }: RegionRig): void {
  describe("mapping", () => {
    /** Maps, expects the outcome, and unmaps. */
    const expectMap = (expected: string | undefined, ...request: Parameters<RawDevice["map"]>): void => {
      const mapped = raw().map(...request);
      if (typeof mapped !== "string") mapped.unmap();
      expect({ request, error: typeof mapped === "string" ? mapped : undefined }).toEqual({
        request,
        error: expected,
      });
    };
    const mappable = () => {
      const bar = device().bars.find((each) => each.mappable && each.size >= 2 * PAGE_SIZE);
      return bar ?? skip({ reason: "no BAR of two pages can be mapped", remedy: "use a device with one" });
    };

    it("private_is_refused", () => {
      const { index } = mappable();
      expectMap(undefined, index, { flags: MAP_SHARED });
      expectMap("EINVAL", index, { flags: MAP_PRIVATE });
    });

    it("beyond_the_bar_is_refused", () => {
      const { index, size } = mappable();
      expectMap(undefined, index, { offset: size - PAGE_SIZE });
      expectMap(undefined, index, { length: size });
      expectMap("EINVAL", index, { offset: size });
      expectMap("EINVAL", index, { length: size + PAGE_SIZE });
      expectMap("EINVAL", index, { offset: size - PAGE_SIZE, length: 2 * PAGE_SIZE });
    });

    it("what_is_not_told_as_mappable_is_refused", () => {
      for (const { index } of device().bars.filter((bar) => !bar.mappable)) expectMap("EINVAL", index);
      for (const region of [
        VFIO_PCI_ROM_REGION_INDEX,
        VFIO_PCI_CONFIG_REGION_INDEX,
        VFIO_PCI_VGA_REGION_INDEX,
        VFIO_PCI_NUM_REGIONS,
        VFIO_PCI_NUM_REGIONS + 7,
      ]) {
        expectMap("EINVAL", region);
      }
    });

    it("of_one_page_shows_that_page", () => {
      withPattern(({ bar, offset }) => {
        const page = offset - (offset % PAGE_SIZE);
        const mapped = raw().map(bar, { offset: page });
        if (typeof mapped === "string") throw new Error(`the page was not mapped: ${mapped}`);
        try {
          PATTERN.forEach((value, number) => {
            expect(mapped.read32(offset - page + 4 * number)).toBe(value);
          });
        } finally {
          mapped.unmap();
        }
      });
    });

    it("read_only_takes_no_write", () => {
      withPattern(({ bar, offset }) => {
        const page = offset - (offset % PAGE_SIZE);
        const mapped = raw().map(bar, { offset: page, prot: PROT_READ });
        if (typeof mapped === "string") throw new Error(`the page was not mapped: ${mapped}`);
        expect(mapped.read32(offset - page)).toBe(PATTERN[0]);
        expect(mapped.write32(offset - page, 0)).toBeLessThan(0);
        expect(mapped.read32(offset - page)).toBe(PATTERN[0]);
        mapped.unmap();
      });
    });

    it("cannot_grow_and_is_in_no_core_dump", () => {
      const { index } = mappable();
      const mapped = raw().map(index);
      if (typeof mapped === "string") throw new Error(`the BAR was not mapped: ${mapped}`);
      try {
        // vfio_pci_core_mmap: io, pfnmap, dontexpand, dontdump (Documentation/filesystems/proc.rst). A mapping that
        // mremap(2) may make longer would show the registers of the next device.
        expect(mappingFlags(mapped.address)).toEqual(expect.arrayContaining(["sh", "io", "pf", "de", "dd"]));
      } finally {
        mapped.unmap();
      }
    });

    it("of_every_bar_is_of_no_use_while_memory_space_is_off", () => {
      const bars = device().bars.filter((bar) => bar.mappable);
      const mappings = bars.map(({ index }) => {
        const mapped = raw().map(index);
        if (typeof mapped === "string") throw new Error(`BAR ${index} was not mapped: ${mapped}`);
        return mapped;
      });
      const { config } = device();
      try {
        const usable = () => mappings.map((mapped, number) => [bars[number]?.index, mapped.read32(0) >= 0]);
        const all = (can: boolean) => bars.map(({ index }) => [index, can]);
        // Touched, so that only vfio_pci_zap_bars takes them away.
        expect(usable()).toEqual(all(true));
        config.memoryEnable = false;
        expect(usable()).toEqual(all(false));
        config.memoryEnable = true;
        expect(usable()).toEqual(all(true));
      } finally {
        config.memoryEnable = true;
        for (const mapped of mappings) mapped.unmap();
      }
    });

    it("is_of_no_use_in_d3hot", () => {
      const { config } = device();
      const pm = config.findCapability(PciCapabilityId.powerManagement);
      if (pm === undefined) skip({ reason: "the device has no power management", remedy: "use QEMU's igb" });
      const { index } = mappable();
      const mapped = raw().map(index);
      if (typeof mapped === "string") throw new Error(`BAR ${index} was not mapped: ${mapped}`);
      try {
        expect(mapped.read32(0)).toBeGreaterThanOrEqual(0);
        config.write16(pm.offset + PMCSR, D3_HOT);
        // By the mapping and by the file (__vfio_pci_memory_enabled).
        expect([mapped.read32(0), raw().read(index, 0, 4).result]).toEqual([EFAULT, "EIO"]);
        config.write16(pm.offset + PMCSR, 0);
        expect(mapped.read32(0)).toBeGreaterThanOrEqual(0);
      } finally {
        config.write16(pm.offset + PMCSR, 0);
        mapped.unmap();
      }
    });

    it("is_of_no_use_while_memory_space_is_off", () => {
      withPattern(({ bar, offset }) => {
        const mapped = raw().map(bar, { length: device().bar(bar).size });
        if (typeof mapped === "string") throw new Error(`the BAR was not mapped: ${mapped}`);
        const { config } = device();
        try {
          for (let round = 0; round < 2; round++) {
            expect(mapped.read32(offset)).toBe(PATTERN[0]);
            // Even pages that were touched before are out of reach (vfio_pci_zap_bars).
            config.memoryEnable = false;
            expectBusError(mapped, offset);
            config.memoryEnable = true;
          }
          expect(mapped.read32(offset)).toBe(PATTERN[0]);
        } finally {
          config.memoryEnable = true;
          mapped.unmap();
        }
      });
    });
  });
}

/** What the kernel says of a mapping of this process (VmFlags of /proc/self/smaps). */
function mappingFlags(address: bigint): readonly string[] {
  const smaps = readFileSync(systemPaths.proc("self", "smaps"), "utf8");
  const own = smaps.slice(smaps.search(new RegExp(`^0*${address.toString(16)}-`, "m")));
  return /^VmFlags: (.*)$/m.exec(own)?.[1]?.trim().split(" ") ?? [];
}

function expectBusError(mapped: NativeIo, offset: number): void {
  expect([mapped.read32(offset), mapped.write32(offset, 0)]).toEqual([EFAULT, EFAULT]);
}
