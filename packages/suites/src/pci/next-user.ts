import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import {
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_IOEVENTFD_32,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { requireMaySleep, runtimeStatus, waitForSuspend } from "../rigs/device/runtime-power";
import { requireIntxSource } from "../rigs/interrupts/intx-line";
import { vfioInterrupts } from "../rigs/interrupts/kernel-interrupts";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const ENTRY = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET;
const EXIT = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET;
/** VFIO_PCI_IOEVENTFD_MAX (vfio_pci_priv.h). */
const MOST_IOEVENTFDS = 1000;
/** Offsets in the header, and in the power management capability (PCI 3.0, section 6.1; PCI-PM 1.2, section 3.2.4). */
const BAR_0 = 0x10;
const INTERRUPT_LINE = 0x3c;
const PMCSR = 4;
const PM_STATE = 3;
const D3_HOT = 3;

/** What a user leaves behind does not reach the next one (vfio_pci_core_disable, vfio_config_free). */
export function nextUserSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_next_user", target, (address) => {
    requireMode(mode);

    const asUser = (use: (device: PciDevice, raw: RawDevice) => void): void => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      use(device, new RawDevice(device));
    };

    for (const state of ["asleep", "about_to_sleep"] as const) {
      it(`finds_the_device_awake_after_one_that_left_it_${state}`, () => {
        requireMaySleep(address);
        asUser((_, raw) => {
          expect(raw.feature(ENTRY)).toBe(0);
          if (state === "asleep") waitForSuspend(address);
        });
        asUser((device, raw) => {
          expect(runtimeStatus(address)).toBe("active");
          // In low power no mapping leads anywhere (vfio_pci_vmf_insert_pfn).
          const bar = device.bars.find(({ mappable }) => mappable);
          if (bar !== undefined) expect(bar.read32(0)).toEqual(expect.any(Number));
          // It can begin and end low power itself: the kernel's usage count balances.
          expect(raw.feature(ENTRY)).toBe(0);
          waitForSuspend(address);
          expect(raw.feature(EXIT)).toBe(0);
          expect(runtimeStatus(address)).toBe("active");
        });
        waitForSuspend(address);
      });
    }

    it("finds_the_device_in_d0_after_d3hot", () => {
      asUser(({ config }) => {
        const pm = powerManagementOf(config);
        config.write16(pm + PMCSR, D3_HOT);
        expect(config.read16(pm + PMCSR) & PM_STATE).toBe(D3_HOT);
      });
      asUser((device) => {
        const { config } = device;
        using physical = new PhysicalConfig(address);
        const at = powerManagementOf(config) + PMCSR;
        expect([config.read16(at) & PM_STATE, physical.read16(at) & PM_STATE]).toEqual([0, 0]);
        const bar = device.bars.find(({ mappable }) => mappable);
        if (bar !== undefined) expect(bar.read32(0)).not.toBe(0xffff_ffff);
      });
    });

    for (const [name, leave] of [
      ["the_disable_bit_set", (device: PciDevice) => void (device.config.interruptDisable = true)],
      [
        "intx_enabled_and_masked",
        ({ interrupts }: PciDevice) => {
          interrupts.intx.enable();
          interrupts.intx.mask();
        },
      ],
      [
        "intx_enabled_and_the_disable_bit_set",
        ({ config, interrupts }: PciDevice) => {
          interrupts.intx.enable();
          config.interruptDisable = true;
        },
      ],
    ] as const) {
      it(`has_its_intx_unmasked_after_one_that_left_${name}`, () => {
        asUser((device) => {
          requireIntxSource(device);
          leave(device);
        });
        expect(vfioInterrupts(address)).toEqual([]);
        asUser((device) => {
          const { intx } = device.interrupts;
          const source = requireIntxSource(device);
          expect(device.config.interruptDisable).toBe(false);
          intx.enable();
          // The driver writes the command register, which alone would end what is left (vfio_basic_config_write).
          intx.trigger(0);
          expect(intx.vector(0).tryRead()).toBe(1n);
          source.prepare();
          source.raise();
          expect(intx.vector(0).waitSync()).toBe(1n);
          source.acknowledge();
        });
      });
    }

    it("has_none_of_the_ioeventfds_and_all_the_room_for_them", () => {
      using eventfd = new Eventfd("ioeventfd");
      const requests = (device: PciDevice, raw: RawDevice, count: number): (number | string)[] => {
        const { bar, offset } = scratchRegistersOf(device);
        const place = { flags: VFIO_DEVICE_IOEVENTFD_32, offset: raw.positionOf(bar, offset), fd: eventfd.fd };
        return Array.from({ length: count }, (_, value) => raw.ioeventfd({ ...place, data: BigInt(value) }));
      };
      asUser((device, raw) => {
        expect(new Set(requests(device, raw, MOST_IOEVENTFDS))).toEqual(new Set([0]));
      });
      // Nobody takes the count any more.
      eventfd.signal();
      expect(eventfd.tryRead()).toBe(1n);
      asUser((device, raw) => {
        expect(requests(device, raw, 2)).toEqual([0, 0]);
      });
    });

    it("sees_the_devices_registers_and_not_what_was_written_to_emulated_ones", () => {
      let first = Buffer.alloc(0);
      asUser(({ config }) => {
        first = Buffer.from(config.bytes(0, 256));
        const msi = config.findCapability(PciCapabilityId.msi);
        config.write8(INTERRUPT_LINE, config.read8(INTERRUPT_LINE) ^ 0x5a);
        config.write32(BAR_0, 0xffff_ffff);
        if (msi !== undefined) config.write32(msi.offset + 4, 0xfee0_1234);
        expect(first.equals(config.bytes(0, 256))).toBe(false);
      });
      asUser(({ config }) => {
        expect(Buffer.from(config.bytes(0, 256))).toEqual(first);
      });
    });
  });
}

function powerManagementOf(config: PciDevice["config"]): number {
  const pm = config.findCapability(PciCapabilityId.powerManagement);
  return pm?.offset ?? skip({ reason: "the device has no power management", remedy: "use QEMU's igb" });
}
