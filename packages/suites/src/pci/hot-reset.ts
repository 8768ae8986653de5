import { Iommu, PciDevice } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { iommuGroupOf, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
} from "@vfio-selftests/core/uapi";
import { eachMode, errorWithCode, fixture, notChecked, note, skip } from "@vfio-selftests/harness";
import { deviceFileOf, iommufdDeviceOf, rawSpaceOf } from "@vfio-selftests/iommu-modes";
import { device as requests, encodeIoctl } from "@vfio-selftests/iommu-modes/requests";
import { busResetInfo, resetBus } from "../rigs/bus/bus-reset";
import { CopyRig } from "../rigs/dma/copy-rig";
import { MediatedDevice } from "../rigs/mediated/mediated-device";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

/** A register of BAR 0 that a reset sets to its default, and bits of it that are harmless to change. */
const WITNESSES = [
  // 82576 datasheet, 8.2.9: LED control; bits 0 to 3 are LED 0's mode.
  { vendor: 0x8086, device: 0x10c9, offset: 0xe00, bits: 1 << 0 },
] as const;

/** Reset of a slot or bus. The groups' descriptors prove ownership, or the iommufd of devices opened by their files. */
export function hotResetSuite(target: SuiteTarget): void {
  fixture("vfio_hot_reset", target, (address) => {
    eachMode(target, (mode) => {
      it("info_names_devices_and_owners", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { devices, owned } = busResetInfo(device);
        // Every function below the bus or slot, with its owner as the machine shows it.
        expect(devices.map((entry) => entry.address).sort()).toEqual(functionsOfBus(address));
        const itself = devices.find((entry) => entry.address === address);
        if (mode.traits.api === "iommufd") {
          expect(itself).toMatchObject({ deviceId: iommufdDeviceOf(device.vfio).id });
          // vfio_pci_fill_devs: 0 for another device of an owned group, -1 for a stranger. One stranger ends ownership.
          const own = iommuGroupOf(address);
          for (const { address: other, deviceId } of devices.filter((entry) => entry !== itself)) {
            expect([other, deviceId]).toEqual([other, iommuGroupOf(other) === own ? 0 : -1]);
          }
          expect(owned).toBe(devices.every(({ deviceId }) => deviceId !== -1));
          note(`affects ${devices.map((entry) => entry.address).join(", ")}; owned: ${owned}`);
        } else {
          expect(devices.map(({ group }) => group)).toEqual(devices.map((entry) => iommuGroupOf(entry.address)));
          expect(owned).toBeUndefined();
          note(`affects ${devices.map((entry) => `${entry.address} (group ${entry.group})`).join(", ")}`);
        }
      });

      it("malformed_is_refused", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { devices } = busResetInfo(device);
        const raw = new RawDevice(device);
        const info = (argsz: number) => {
          const words = Uint32Array.of(argsz, 0xffff_ffff, 0, ...new Array<number>(64).fill(0));
          const result = raw.ioctl(
            "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
            VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
            new Uint8Array(words.buffer),
          );
          return { result, flags: words[1], count: words[2] };
        };
        expect(info(11).result).toBe("EINVAL");
        // Without room for the devices, the kernel reports their number.
        expect(info(12)).toMatchObject({ result: "ENOSPC", count: devices.length });
        expect(info(12 + 8 * devices.length)).toMatchObject({ result: 0, count: devices.length });
        const byId = mode.traits.api === "iommufd" ? VFIO_PCI_HOT_RESET_FLAG_DEV_ID : 0;
        expect((info(200).flags ?? 0) & ~VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED).toBe(byId);
        const reset = (argsz: number, flags: number, count: number, ...fds: number[]) =>
          raw.ioctl(
            "VFIO_DEVICE_PCI_HOT_RESET",
            VFIO_DEVICE_PCI_HOT_RESET,
            new Uint8Array(Int32Array.of(argsz, flags, count, ...fds).buffer),
          );
        const opened = mode.traits.api === "iommufd" ? 0 : 1;
        expect([reset(11, 0, opened, -1), reset(16, 1, opened, -1)]).toEqual(["EINVAL", "EINVAL"]);
        // Only devices opened by their group take proof by groups, and no more groups than there are devices.
        expect(reset(16, 0, 1 - opened, -1)).toBe("EINVAL");
        if (opened === 0) return;
        const many = new Array<number>(devices.length + 1).fill(-1);
        expect(reset(12 + 4 * many.length, 0, many.length, ...many)).toBe("EINVAL");
        expect(reset(16, 0, 1, -1)).toBe("EBADF");
        expect(reset(16, 0, 1, deviceFileOf(device.vfio).descriptor("hot reset"))).toBe("EINVAL");
      });

      it("resets_registers_and_keeps_configuration", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const owned = openAffected(target, iommu, device);
        const { vendorId, deviceId } = device.config;
        const witness = WITNESSES.find(({ vendor, device: id }) => vendor === vendorId && id === deviceId);
        // The first reset puts the register at its default.
        if (device.info.resettable) device.reset();
        const before = witness === undefined ? 0 : device.bar(0).read32(witness.offset);
        if (witness !== undefined) {
          device.bar(0).write32(witness.offset, before ^ witness.bits);
          expect(device.bar(0).read32(witness.offset)).toBe((before ^ witness.bits) >>> 0);
        }
        device.config.busMaster = true;
        resetBus(device, owned);
        // The kernel saves and restores configuration space around the reset.
        expect([device.config.vendorId, device.config.deviceId]).toEqual([vendorId, deviceId]);
        expect(device.config.busMaster).toBe(true);
        if (witness === undefined)
          notChecked("the registers", "no register is known that a reset of this device changes");
        else expect(device.bar(0).read32(witness.offset)).toBe(before);
      });

      it("copies_again_after_the_reset", () => {
        using rig = new CopyRig(target, mode, [address]);
        const { copier, iommu } = rig;
        const owned = openAffected(target, iommu, copier.device);
        for (let round = 0; round < 3; round++) {
          copier.copy();
          copier.session.remove();
          resetBus(copier.device, owned);
          copier.session.create();
        }
        copier.copy();
      });

      it("wrong_kind_of_proof_is_refused", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        openAffected(target, iommu, device);
        // A device opened by its group needs groups' descriptors. One opened by its file takes none.
        const wrong = mode.traits.api === "iommufd" ? [rawSpaceOf(iommu).file.descriptor("hot reset")] : [];
        expect(resetWith(device, wrong)).toBe(-Errno.EINVAL);
        expect(resetWith(device, [deviceFileOf(device.vfio).descriptor("hot reset")])).toBeLessThan(0);
        expect(resetWith(device, [-1])).toBeLessThan(0);
      });

      it("group_of_another_device_is_no_proof", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        if (mode.traits.api === "iommufd") {
          skip({
            reason: `mode ${mode.name} proves ownership without descriptors`,
            remedy: "use a mode on a container: --mode vfio_type1v2_iommu",
          });
        }
        const affected = busResetInfo(device).devices.map(({ group }) => group);
        const stranger = target.devices.find((other) => !affected.includes(iommuGroupOf(other)));
        if (stranger === undefined) {
          skip({
            reason: "the run has no device of another group",
            remedy: "name one: -d ADDRESS -d ADDRESS, or vfio-selftests lab run --device igb*2",
          });
        }
        using other = PciDevice.open(iommu, stranger);
        expect(() => device.hotReset([other])).toThrow(errorWithCode("EINVAL"));
      });

      if (mode.traits.container !== undefined) {
        it("group_of_a_mediated_device_is_no_proof", () => {
          // A stranger that needs no second device: the kernel makes it up.
          using card = new MediatedDevice();
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          busResetInfo(device);
          using files = card.group(mode);
          // vfio_dev_in_groups
          expect(resetWith(device, [files.group.descriptor("VFIO_DEVICE_PCI_HOT_RESET")])).toBe(-Errno.EINVAL);
        });
      }
    });
  });
}

/** The functions of the device's bus, ascending. */
function functionsOfBus(address: string): string[] {
  const bus = address.slice(0, address.lastIndexOf(":") + 1);
  return listDirectory(systemPaths.sys("bus", "pci", "devices")).filter((other) => other.startsWith(bus));
}

/** Opens the run's devices that a reset affects. Skips the test where the reset affects devices of others. */
function openAffected(target: SuiteTarget, iommu: Iommu, device: PciDevice): PciDevice[] {
  const groups = new Set(busResetInfo(device).devices.map((entry) => entry.group ?? iommuGroupOf(entry.address)));
  const opened = [device];
  const missing = [...groups].filter((group) => group !== iommuGroupOf(device.address));
  for (const group of missing) {
    const member = target.devices.find((address) => iommuGroupOf(address) === group);
    if (member === undefined) {
      skip({
        reason: `a reset of ${device.address}'s bus affects IOMMU group ${group}, of which the run has no device`,
        remedy: "bind every device of the bus to vfio-pci, and name them: -d ADDRESS -d ADDRESS",
      });
    }
    opened.push(PciDevice.open(iommu, member));
  }
  return opened;
}

/** VFIO_DEVICE_PCI_HOT_RESET with any descriptors. Returns the ioctl's result or -errno. */
function resetWith(device: PciDevice, fds: readonly number[]): number {
  return deviceFileOf(device.vfio).attempt(encodeIoctl(requests.hotReset, fds));
}
