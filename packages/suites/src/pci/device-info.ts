import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { pciDevice, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_FLAGS_CAPS,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP,
  vfio_info_cap_header,
  vfio_irq_info,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_REQ_IRQ_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_VGA_REGION_INDEX,
  vfio_region_info,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { openForBlock } from "../rigs/open-device";
import { PAGE_SIZE } from "../rigs/page-size";
import { PhysicalConfig } from "../rigs/physical-config";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const READ_WRITE = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
const BARS = [0, 1, 2, 3, 4, 5] as const;
const DISPLAY_VGA = 0x0300;
const FILL = 0xa5;

/** Offsets of what the test compares with (PCI 3.0, sections 6.1, 6.8; PCI Express, section 7.5.3). */
const INTERRUPT_PIN = 0x3d;
const MSI_CONTROL = 2;
const MSIX_CONTROL = 2;
const MSIX_TABLE = 4;
const DEVICE_CAPABILITIES_2 = 0x24;
const ATOMIC_COMPLETER = 7 << 7;

/** Compares what the kernel reports of device, regions and interrupts with what the machine shows of them. */
export function deviceInfoSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_info", target, (address) => {
    const device = openForBlock(mode, address);
    /** Makes an ioctl that fills in a structure, in a buffer longer than `argsz`. Returns the outcome and the bytes. */
    const ask = (request: number, argsz: number, fields: Readonly<Record<number, number>> = {}) => {
      const bytes = new Uint8Array(256).fill(FILL);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, argsz, true);
      for (const [offset, value] of Object.entries(fields)) view.setUint32(Number(offset), value, true);
      const outcome = new RawDevice(device()).ioctl("VFIO_DEVICE_GET_*_INFO", request, bytes);
      return { outcome, bytes, view };
    };

    describe("device", () => {
      it("flags_and_counts", () => {
        const { flags, regionCount, irqCount } = device().info;
        const resettable = readAttribute(systemPaths.pciDevice(address, "reset_method"))?.trim() ?? "";
        const atomics = device().config.findCapability(PciCapabilityId.pciExpress);
        using physical = new PhysicalConfig(address);
        const completer =
          atomics === undefined ? 0 : physical.read32(atomics.offset + DEVICE_CAPABILITIES_2) & ATOMIC_COMPLETER;
        expect([regionCount, irqCount]).toEqual([VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS]);
        expect(flags & ~VFIO_DEVICE_FLAGS_CAPS).toBe(
          VFIO_DEVICE_FLAGS_PCI | (resettable === "" ? 0 : VFIO_DEVICE_FLAGS_RESET),
        );
        // vfio_pci_info_atomic_cap: only for devices that complete atomic operations.
        if (completer === 0) expect(flags & VFIO_DEVICE_FLAGS_CAPS).toBe(0);
      });

      it("structure_without_capabilities_is_enough", () => {
        const short = vfio_device_info.fields.cap_offset.offset;
        const { outcome, bytes, view } = ask(VFIO_DEVICE_GET_INFO, short);
        expect(outcome).toBe(0);
        expect(view.getUint32(vfio_device_info.fields.num_irqs.offset, true)).toBe(VFIO_PCI_NUM_IRQS);
        // The kernel writes nothing behind the caller's structure.
        expect(bytes.subarray(short).every((byte) => byte === FILL)).toBe(true);
      });

      it("structure_too_short_is_refused", () => {
        expect(ask(VFIO_DEVICE_GET_INFO, vfio_device_info.fields.cap_offset.offset - 1).outcome).toBe("EINVAL");
      });

      it("capabilities_only_with_their_flag", () => {
        const { outcome, view } = ask(VFIO_DEVICE_GET_INFO, 256);
        expect(outcome).toBe(0);
        const chain = chainOf(view, vfio_device_info.fields.cap_offset.offset);
        const offered = (device().info.flags & VFIO_DEVICE_FLAGS_CAPS) !== 0;
        expect(chain.map(({ id }) => id)).toEqual(offered ? [VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP] : []);
      });
    });

    describe("region", () => {
      const infoOf = (index: number, argsz = 256) => {
        const { outcome, view, bytes } = ask(VFIO_DEVICE_GET_REGION_INFO, argsz, {
          [vfio_region_info.fields.index.offset]: index,
        });
        const { fields } = vfio_region_info;
        return {
          outcome,
          bytes,
          argsz: view.getUint32(0, true),
          flags: view.getUint32(fields.flags.offset, true),
          size: Number(view.getBigUint64(fields.size.offset, true)),
          chain: outcome === 0 ? chainOf(view, fields.cap_offset.offset) : [],
        };
      };

      for (const bar of BARS) {
        it(`bar_${bar}_is_the_resource_of_sysfs`, () => {
          const resource = pciDevice(address).resources.find(({ index }) => index === bar);
          const size = Number(resource?.size ?? 0n);
          const mappable =
            size > 0 &&
            resource?.kind !== "io" &&
            (size >= PAGE_SIZE || (resource?.start ?? 0n) % BigInt(PAGE_SIZE) === 0n);
          const { flags, size: told } = infoOf(bar);
          expect(told).toBe(size);
          expect(flags & ~VFIO_REGION_INFO_FLAG_CAPS).toBe(
            size === 0 ? 0 : READ_WRITE | (mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0),
          );
          // Only the MSI-X table's BAR has the capability that allows mapping the table (msix_mappable_cap).
          const hasTable = mappable && bar === msixTableBar();
          expect((flags & VFIO_REGION_INFO_FLAG_CAPS) !== 0).toBe(hasTable);
          expect(infoOf(bar).chain).toEqual(hasTable ? [{ id: VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, version: 1 }] : []);
        });
      }

      const msixTableBar = (): number | undefined => {
        const msix = device().config.findCapability(PciCapabilityId.msix);
        return msix === undefined ? undefined : device().config.read32(msix.offset + MSIX_TABLE) & 7;
      };

      it("rom_is_there_where_the_device_has_one", () => {
        const rom = pciDevice(address).resources.find(({ index }) => index === VFIO_PCI_ROM_REGION_INDEX);
        const { outcome, flags, size } = infoOf(VFIO_PCI_ROM_REGION_INDEX);
        expect(outcome).toBe(0);
        if (rom === undefined || rom.size === 0n) {
          expect([flags, size]).toEqual([0, 0]);
        } else {
          // The kernel does not offer a ROM without a valid image.
          expect([0, VFIO_REGION_INFO_FLAG_READ]).toContain(flags);
          expect(size).toBe(flags === 0 ? 0 : Number(rom.size));
        }
      });

      it("configuration_space_has_the_size_of_sysfs", () => {
        const { flags, size } = infoOf(VFIO_PCI_CONFIG_REGION_INDEX);
        using physical = new PhysicalConfig(address);
        expect(flags).toBe(READ_WRITE);
        expect([256, 4096]).toContain(size);
        expect(physical.bytes(0, size)).toHaveLength(size);
        expect(() => physical.bytes(size, 1)).toThrow(RangeError);
      });

      it("regions_do_not_overlap", () => {
        const regions = Array.from({ length: VFIO_PCI_VGA_REGION_INDEX }, (_, index) =>
          device().vfio.regionInfo(index),
        );
        const sorted = [...regions].sort((a, b) => Number(a.offset - b.offset));
        sorted.slice(1).forEach((region, before) => {
          const previous = sorted[before];
          expect(region.offset).toBeGreaterThanOrEqual((previous?.offset ?? 0n) + BigInt(previous?.size ?? 0));
        });
      });

      it("vga_only_for_display_devices", () => {
        if (device().config.classCode >>> 8 === DISPLAY_VGA) {
          skip({ reason: "the device is a VGA controller", remedy: "use another device" });
        }
        expect(infoOf(VFIO_PCI_VGA_REGION_INDEX).outcome).toBe("EINVAL");
      });

      it("index_beyond_is_refused", () => {
        for (const index of [VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_REGIONS + 1, 0xffff_ffff]) {
          expect({ index, outcome: infoOf(index).outcome }).toEqual({ index, outcome: "EINVAL" });
        }
      });

      it("structure_too_short_is_refused", () => {
        expect(infoOf(0, vfio_region_info.size - 1).outcome).toBe("EINVAL");
        expect(infoOf(0, vfio_region_info.size).outcome).toBe(0);
      });

      it("tells_how_much_room_capabilities_need", () => {
        const bar = msixTableBar();
        if (bar === undefined) skip({ reason: "no region has capabilities", remedy: "use a device with MSI-X" });
        const { outcome, argsz, flags, chain, bytes } = infoOf(bar, vfio_region_info.size);
        expect([outcome, argsz]).toEqual([0, vfio_region_info.size + vfio_info_cap_header.size]);
        expect(flags & VFIO_REGION_INFO_FLAG_CAPS).toBe(VFIO_REGION_INFO_FLAG_CAPS);
        expect(chain).toEqual([]);
        expect(bytes.subarray(vfio_region_info.size).every((byte) => byte === FILL)).toBe(true);
        expect(infoOf(bar, argsz).chain).toHaveLength(1);
      });
    });

    describe("interrupt", () => {
      const infoOf = (index: number, argsz = vfio_irq_info.size) => {
        const { outcome, view } = ask(VFIO_DEVICE_GET_IRQ_INFO, argsz, { [vfio_irq_info.fields.index.offset]: index });
        const { flags, count } = vfio_irq_info.fields;
        return { outcome, flags: view.getUint32(flags.offset, true), count: view.getUint32(count.offset, true) };
      };
      const vectorsOf = (id: number, count: (control: number) => number, control: number): number => {
        const capability = device().config.findCapability(id);
        if (capability === undefined) return 0;
        using physical = new PhysicalConfig(address);
        return count(physical.read16(capability.offset + control));
      };

      it("intx_is_maskable_and_masks_itself", () => {
        using physical = new PhysicalConfig(address);
        expect(infoOf(VFIO_PCI_INTX_IRQ_INDEX)).toEqual({
          outcome: 0,
          flags: VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED,
          count: physical.read8(INTERRUPT_PIN) === 0 ? 0 : 1,
        });
      });

      it("msi_has_the_vectors_of_its_capability", () => {
        const count = vectorsOf(PciCapabilityId.msi, (control) => 1 << ((control >> 1) & 7), MSI_CONTROL);
        expect(infoOf(VFIO_PCI_MSI_IRQ_INDEX)).toEqual({
          outcome: 0,
          flags: VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
          count,
        });
      });

      it("msix_has_the_vectors_of_its_capability", () => {
        const count = vectorsOf(PciCapabilityId.msix, (control) => (control & 0x7ff) + 1, MSIX_CONTROL);
        const { outcome, flags, count: told } = infoOf(VFIO_PCI_MSIX_IRQ_INDEX);
        expect([outcome, told]).toEqual([0, count]);
        // The platform decides whether vectors can come later (pci_msix_can_alloc_dyn); message-vectors.ts tests that.
        expect(flags & ~VFIO_IRQ_INFO_NORESIZE).toBe(VFIO_IRQ_INFO_EVENTFD);
      });

      for (const [name, index] of [
        ["err", VFIO_PCI_ERR_IRQ_INDEX],
        ["req", VFIO_PCI_REQ_IRQ_INDEX],
      ] as const) {
        it(`${name}_is_one_event`, () => {
          expect(infoOf(index)).toEqual({
            outcome: 0,
            flags: VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
            count: 1,
          });
        });
      }

      it("index_beyond_is_refused", () => {
        for (const index of [VFIO_PCI_NUM_IRQS, 0xffff_ffff]) expect(infoOf(index).outcome).toBe("EINVAL");
      });

      it("structure_too_short_is_refused", () => {
        expect(infoOf(0, vfio_irq_info.size - 1).outcome).toBe("EINVAL");
      });
    });
  });
}

/** The chain of capabilities that begins where the field at `capOffset` says. */
function chainOf(view: DataView, capOffset: number): { id: number; version: number }[] {
  const chain: { id: number; version: number }[] = [];
  const { id, version, next } = vfio_info_cap_header.fields;
  for (let at = view.getUint32(capOffset, true); at !== 0 && chain.length < 8;) {
    if (at > view.byteLength - vfio_info_cap_header.size) break;
    chain.push({ id: view.getUint16(at + id.offset, true), version: view.getUint16(at + version.offset, true) });
    at = view.getUint32(at + next.offset, true);
  }
  return chain;
}
