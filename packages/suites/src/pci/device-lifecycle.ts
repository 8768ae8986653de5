import { Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { existsPath, readAttribute, readNumber, systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import { VFIO_GROUP_GET_DEVICE_FD } from "@vfio-selftests/core/uapi";
import { eachMode, errorWithCode, fixture, GuardedValue, skip } from "@vfio-selftests/harness";
import { iommufdOf, KernelDevice, KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { device as requests, encodeIoctl } from "@vfio-selftests/iommu-modes/requests";
import { native } from "@vfio-selftests/native";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { PhysicalConfig } from "../rigs/config-space/physical-config";
import { openKernelLog } from "../rigs/device/kernel-log";
import { messageIrqs, vfioInterrupts } from "../rigs/interrupts/kernel-interrupts";
import { PageFaults } from "../rigs/memory/page-faults";
import { outcome } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

const COMMAND = 4;
const MEMORY = 1 << 1;
const BUS_MASTER = 1 << 2;
const INTX_DISABLE = 1 << 10;
const CACHE_LINE = 0x0c;
/** Offset in the power management capability. The low two bits are the power state. */
const PMCSR = 4;
const UUID = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
const TRIES = 4;
const QUIET_TRIES = 100;
const SLEEP_MS = 5000;

/** What opening, resetting and closing do to the device, in each mode. */
export function deviceLifecycleSuite(target: SuiteTarget): void {
  fixture("vfio_pci_lifecycle", target, (address) => {
    eachMode(target, (mode) => {
      const withDevice = (use: (device: PciDevice, iommu: Iommu) => void): void => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        use(device, iommu);
      };

      it("open_finds_a_quiet_device", () => {
        using physical = new PhysicalConfig(address);
        if (target.kind === "lab") physical.write16(COMMAND, physical.read16(COMMAND) | BUS_MASTER | INTX_DISABLE);
        withDevice(({ config }) => {
          // vfio_pci_core_enable clears both, and enables the device.
          expect(physical.read16(COMMAND) & (BUS_MASTER | INTX_DISABLE | MEMORY)).toBe(MEMORY);
          expect(config.command & (BUS_MASTER | INTX_DISABLE | MEMORY)).toBe(MEMORY);
        });
      });

      it("close_gives_the_device_back", () => {
        using physical = new PhysicalConfig(address);
        withDevice(() => undefined);
        let powerState = 0;
        // A device that nobody has open may sleep already, or not yet (runtime PM).
        const registers = (): number[] =>
          [...physical.bytes(0, 256)].map((byte, at) => (at === powerState ? byte & ~3 : byte));
        withDevice(({ config }) => {
          powerState = (config.findCapability(PciCapabilityId.powerManagement)?.offset ?? -PMCSR) + PMCSR;
        });
        const before = registers();
        withDevice(({ config, interrupts }) => {
          config.command = config.command | BUS_MASTER;
          config.write8(CACHE_LINE, 0x40);
          config.write32(0x10, 0);
          const express = config.findCapability(PciCapabilityId.pciExpress);
          if (express !== undefined) config.write16(express.offset + 8, 0);
          const kind = interrupts.msix.count > 0 ? interrupts.msix : interrupts.msi;
          if (kind.count > 0) {
            kind.enable(0, 1);
            expect(messageIrqs(address)).toHaveLength(1);
          }
          expect(registers()).not.toEqual(before);
        });
        expect(registers()).toEqual(before);
        expect([messageIrqs(address), vfioInterrupts(address)]).toEqual([[], []]);
      });

      it("close_resets_the_registers", () => {
        const control = systemPaths.pciDevice(address, "power", "control");
        if (target.kind !== "lab") {
          skip({
            reason: "the test reaches the device past vfio-pci",
            remedy: "run it in the lab: vfio-selftests lab run",
          });
        }
        let scratch = { bar: 0, offset: 0 };
        withDevice((device) => {
          if (!device.info.resettable) skip({ reason: "the device has no reset", remedy: "use a device with FLR" });
          scratch = scratchRegistersOf(device);
          device.bar(scratch.bar).write32(scratch.offset, 0x0bad_5eed);
          expect(device.bar(scratch.bar).read32(scratch.offset)).toBe(0x0bad_5eed);
        });
        // The file in sysfs shows the registers while the device is awake and its memory space is on.
        using awake = new GuardedValue(control);
        awake.set("on");
        using physical = new PhysicalConfig(address);
        const command = physical.read16(COMMAND);
        physical.write16(COMMAND, command | MEMORY);
        const file = KernelFile.open(realKernel, systemPaths.pciDevice(address, `resource${scratch.bar}`));
        try {
          const page = scratch.offset & ~0xfff;
          const registers = native.mapIo({ fd: file.descriptor("mmap"), length: 4096, flags: 1, offset: BigInt(page) });
          if (typeof registers === "number") throw new Error(`resource${scratch.bar}: ${outcome(registers)}`);
          expect(registers.read32(scratch.offset - page)).toBe(0);
          registers.unmap();
        } finally {
          file.close();
          physical.write16(COMMAND, command);
        }
      });

      it("close_resets_the_bus_only_where_the_device_has_no_reset_of_its_own", () => {
        using log = openKernelLog();
        const resets = () => log.newLines().filter((line) => line.endsWith(` ${address}: resetting`)).length;
        using iommu = new Iommu(mode.open());
        const device = PciDevice.open(iommu, address);
        const { resettable } = device.info;
        // A driver that prepares for resets keeps pci_dev_save_and_disable from telling of them.
        if (resets() === 0 && resettable) {
          skip({ reason: "the kernel does not tell of this device's resets", remedy: "use vfio-pci as its driver" });
        }
        const expected = resettable || !isBusResettable(device) ? 0 : 1;
        device.close();
        // The kernel tells of a bus's reset, and not of the one that vfio_pci_core_disable asks for.
        expect(resets()).toBe(expected);
      });

      it("sleeps_while_nobody_has_it_open", () => {
        const state = () => readAttribute(systemPaths.pciDevice(address, "power", "runtime_status"))?.trim();
        if (readAttribute(systemPaths.pciDevice(address, "power", "control"))?.trim() !== "auto") {
          skip({ reason: "the device may not sleep", remedy: "load vfio-pci without disable_idle_d3" });
        }
        // Without the capability the device has no other state (pci_set_low_power_state).
        let asleep = "D0";
        withDevice(({ config }) => {
          if (config.findCapability(PciCapabilityId.powerManagement) !== undefined) asleep = "D3hot";
          expect(state()).toBe("active");
        });
        // After pm_runtime_put, a worker puts the device to sleep.
        pollUntil(() => state() === "suspended", {
          timeoutMs: SLEEP_MS,
          what: "the device to sleep",
          subject: address,
        });
        expect(readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim()).toBe(asleep);
      });

      it("reset_clears_registers_and_keeps_configuration", () => {
        withDevice((device) => {
          if (!device.info.resettable) skip({ reason: "the device has no reset", remedy: "use a device with FLR" });
          const { bar, offset } = scratchRegistersOf(device);
          using physical = new PhysicalConfig(address);
          device.config.busMaster = true;
          device.config.write8(CACHE_LINE, 0x20);
          const [seen, real] = [device.config.bytes(0, 256), physical.bytes(0, 64)];
          device.bar(bar).write32(offset, 0x5eed);
          expect(device.bar(bar).read32(offset)).toBe(0x5eed);
          device.reset();
          expect(device.bar(bar).read32(offset)).toBe(0);
          expect([device.config.bytes(0, 256), physical.bytes(0, 64)]).toEqual([seen, real]);
        });
      });

      it("reset_takes_the_pages_of_mappings_away", () => {
        withDevice((device) => {
          if (!device.info.resettable) skip({ reason: "the device has no reset", remedy: "use a device with FLR" });
          const bar = device.bars.find(({ mappable }) => mappable);
          if (bar === undefined) skip({ reason: "no BAR can be mapped", remedy: "use a device with one" });
          using faults = new PageFaults();
          const fewest = (tries: number, before: () => void) =>
            Math.min(
              ...Array.from({ length: tries }, () => {
                before();
                return faults.during(() => bar.read32(0));
              }),
            );
          bar.read32(0);
          const quiet = fewest(QUIET_TRIES, () => undefined);
          // vfio_pci_zap_and_down_write_memory_lock: nobody reaches the device while it is reset.
          expect(fewest(TRIES, () => device.reset())).toBeGreaterThan(quiet);
        });
      });

      it("token_for_a_device_without_functions_is_refused", () => {
        if (readNumber(systemPaths.pciDevice(address, "sriov_totalvfs")) !== undefined) {
          skip({
            reason: "the device has virtual functions",
            remedy: "use one without: vfio-selftests lab run -d edu",
          });
        }
        using iommu = new Iommu(mode.open());
        // vfio_pci_core_match_token_uuid
        expect(() => iommu.openDevice(address, { vfToken: UUID })).toThrow(errorWithCode("EINVAL"));
        using device = PciDevice.open(iommu, address);
        expect(device.config.vendorId).not.toBe(0xffff);
      });

      if (mode.traits.api === "iommufd") {
        it("second_file_cannot_be_bound", () => {
          withDevice((_, iommu) => {
            using file = KernelFile.open(realKernel, vfioCdevPath(address));
            const descriptor = iommufdOf(iommu).file.descriptor("bind");
            expect(outcome(file.attempt(encodeIoctl(requests.bindIommufd, descriptor, undefined)))).toBe("EINVAL");
          });
        });
      } else {
        it("group_opens_no_device_of_another_name", () => {
          withDevice((device) => {
            const group = groupFileOf(device);
            const ask = (name: string) =>
              outcome(
                group.attempt({
                  name: "VFIO_GROUP_GET_DEVICE_FD",
                  request: VFIO_GROUP_GET_DEVICE_FD,
                  argument: Buffer.from(`${name}\0`),
                }),
              );
            // vfio_pci_core_match takes the name, then nothing or one token.
            for (const [name, errno] of [
              ["", "ENODEV"],
              ["0000:00:00.0", "ENODEV"],
              [address.slice(0, -1), "ENODEV"],
              [address.slice(5), "ENODEV"],
              [`${address}0`, "ENODEV"],
              [`${address}\t`, "ENODEV"],
              [`${address} x`, "EINVAL"],
              [`${address} vf_token=`, "EINVAL"],
              [`${address} vf_token=${UUID.slice(1)}`, "EINVAL"],
              [`${address} vf_token=${UUID.replace("5", "g")}`, "EINVAL"],
              [`${address} vf_token=${UUID} vf_token=${UUID}`, "EINVAL"],
              [`${address} vf_token=${UUID}0`, "EINVAL"],
              [`${address} vf_token=${UUID} x`, "EINVAL"],
              [`${address} token=${UUID}`, "EINVAL"],
            ] as const) {
              expect([name, ask(name)]).toEqual([name, errno]);
            }
            const spaced = ask(`${address}  `);
            expect(spaced).toEqual(expect.any(Number));
            native.close(Number(spaced));
            // A refusal leaves nothing behind, however often it comes.
            for (let round = 0; round < 200; round++) expect(ask(`${address}-${round}`)).toBe("ENODEV");
          });
        });
      }
    });
  });
}

/** The group's file, by which the device was opened. */
function groupFileOf({ vfio }: PciDevice): KernelFile {
  if (vfio instanceof KernelDevice && vfio.group !== undefined) return vfio.group;
  throw new Error(`${vfio.address} was not opened by its group`);
}

/** Whether vfio_pci_dev_set_resettable finds a bus or slot, all of whose devices are VFIO's. */
function isBusResettable(device: PciDevice): boolean {
  try {
    const { devices } = device.hotResetInfo();
    return devices.every(({ address }) => existsPath(systemPaths.pciDevice(address, "vfio-dev")));
  } catch (error) {
    if (error instanceof VfioError && error.code === "ENODEV") return false;
    throw error;
  }
}
