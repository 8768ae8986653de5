import { statSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { atLeast, type Version, versionText } from "../host/version";
import { AMD_SOUTHBRIDGE_ADDRESS, type LabIommu } from "./iommus";

/** The place of a device of the VM: its slot on the root bus, and a number for names that QEMU wants unique. */
interface Slot {
  readonly number: number;
  /** PCI device number on the root bus, two hexadecimal digits. */
  readonly address: string;
}

/** A device that QEMU's monitor can name, unplug and plug: the properties of `device_add`. */
export interface PluggableDevice {
  readonly driver: string;
  readonly id: string;
  readonly bus: string;
  readonly aer?: boolean;
}

/** A disk of the VM's own, which lives as long as QEMU. */
export interface ScratchDisk {
  /** Properties of `-drive`. */
  readonly drive: string;
  /** The serial number by which tests may overwrite it. */
  readonly serial: string;
}

/** A kind of device the lab can put into the VM. */
export interface LabDevice {
  /** Its name for `--device`. */
  readonly name: string;
  /** One line for people: what it is. */
  readonly summary: string;
  /** QEMU's name of the model. */
  readonly model: string;
  /** The first QEMU that has it. */
  readonly since: Version;
  /** Arguments of `-device`. */
  devices(slot: Slot, argument: string): string[];
  /**
   * The PCI functions to bind to vfio-pci, as paths below the root bus in sysfs. `*` stands for a bus number that the
   * firmware chooses.
   */
  readonly functions: (slot: Slot) => string[];
  /** What the guest's tests unplug, plug and let report errors, by QEMU's monitor. */
  readonly pluggable?: (slot: Slot) => PluggableDevice;
  /** The disk of a controller. */
  readonly disk?: (slot: Slot) => ScratchDisk;
  /** A name for what follows the colon in `name:argument`, for devices that take an argument. */
  readonly argument?: string;
}

const onRootBus = (slot: Slot): string => `0000:00:${slot.address}.0`;
const behindRootPort = (slot: Slot): string => `${onRootBus(slot)}/*:*:00.0`;

function simple(model: string, summary: string, properties = "", since: Version = [8, 0]): LabDevice {
  return {
    name: model,
    summary,
    model,
    since,
    devices: (slot) => [`${model}${properties},addr=0x${slot.address}`],
    functions: (slot) => [onRootBus(slot)],
  };
}

/**
 * A root port of 2.5 GT/s. A faster port says that it reports its link, but QEMU does not report the link again after a
 * reset of the bus, and Linux gives up the hot reset (ENOTTY).
 */
function rootPort(slot: Slot): string {
  const { number, address } = slot;
  return `pcie-root-port,id=port${number},chassis=${number},slot=${number},x-speed=2_5,addr=0x${address}`;
}

/** A bridge to a conventional PCI bus, `bridge1` in slot 1, behind a root port of its own. */
function pciBridge(slot: Slot): string[] {
  return [rootPort(slot), `pcie-pci-bridge,id=bridge${slot.number},bus=port${slot.number}`];
}

/** A device behind a root port of its own that the guest's tests reach by QEMU's monitor. */
function pluggable(name: string, summary: string, properties: Pick<PluggableDevice, "driver" | "aer">): LabDevice {
  const deviceIn = ({ number }: Slot): PluggableDevice => ({
    ...properties,
    id: `plug${number}`,
    bus: `port${number}`,
  });
  return {
    name,
    summary,
    model: properties.driver,
    since: [8, 0],
    devices: (slot) => {
      const { driver, id, bus, aer } = deviceIn(slot);
      return [rootPort(slot), `${driver},id=${id},bus=${bus}${aer === true ? ",aer=on" : ""}`];
    },
    functions: (slot) => [behindRootPort(slot)],
    pluggable: deviceIn,
  };
}

/** Zeroes that nobody stores, and behind them a temporary file of QEMU's that takes what is written. */
function scratchDisk({ number }: Slot): ScratchDisk {
  const zeroes = `file.driver=null-co,file.size=${SCRATCH_DISK},file.read-zeroes=on,format=raw`;
  return { drive: `if=none,id=disk${number},${zeroes},snapshot=on`, serial: `lab-scratch-${number}` };
}

const SCRATCH_DISK = "64M";
const VFIO_USER = "vfio-user-pci";

/** The devices that a VM may have. */
export const LAB_DEVICES: readonly LabDevice[] = [
  {
    name: "igb",
    summary: "Intel 82576 network card behind a root port: FLR, MSI-X, SR-IOV with 8 VFs, DMA by its rings",
    model: "igb",
    since: [8, 0],
    devices: (slot) => [rootPort(slot), `igb,bus=port${slot.number}`],
    functions: (slot) => [behindRootPort(slot)],
  },
  pluggable("igb-hotplug", "igb that tests unplug and plug again", { driver: "igb" }),
  // QEMU's igb has the capability of error reporting, but no way to enable it.
  pluggable("virtio-rng-aer", "random number generator that reports the PCI Express errors tests ask for: FLR, MSI-X", {
    driver: "virtio-rng-pci",
    aer: true,
  }),
  simple("edu", "QEMU's teaching device: DMA, INTx and MSI"),
  {
    name: "edu-group",
    summary: "two edu devices behind one PCIe-to-PCI bridge: they share an IOMMU group",
    model: "edu",
    since: [8, 0],
    devices: (slot) => [
      ...pciBridge(slot),
      `edu,bus=bridge${slot.number},addr=1`,
      `edu,bus=bridge${slot.number},addr=2`,
    ],
    functions: (slot) => ["1", "2"].map((device) => `${behindRootPort(slot)}/*:*:0${device}.0`),
  },
  {
    name: "edu-bridges",
    summary: "two edu devices, the second behind one more PCI bridge: both do DMA under the first bridge's id",
    model: "edu",
    since: [8, 0],
    devices: (slot) => [
      ...pciBridge(slot),
      `edu,bus=bridge${slot.number},addr=1`,
      `pci-bridge,id=inner${slot.number},bus=bridge${slot.number},addr=2,chassis_nr=${100 + slot.number}`,
      `edu,bus=inner${slot.number},addr=1`,
    ],
    functions: (slot) => {
      const bridge = behindRootPort(slot);
      return [`${bridge}/*:*:01.0`, `${bridge}/*:*:02.0/*:*:01.0`];
    },
  },
  {
    name: "nvme",
    summary: "NVMe controller with a disk of 64 MiB that tests overwrite: FLR, MSI-X, DMA by its queues",
    model: "nvme",
    since: [8, 0],
    devices: (slot) => [`nvme,serial=${scratchDisk(slot).serial},drive=disk${slot.number},addr=0x${slot.address}`],
    functions: (slot) => [onRootBus(slot)],
    disk: scratchDisk,
  },
  simple("e1000e", "Intel 82574L network card: MSI, MSI-X and INTx, an I/O port BAR"),
  simple("sdhci-pci", "SD host controller: a BAR of 256 bytes, less than a page; INTx only"),
  simple("pci-testdev", "QEMU's test device, with 2 GiB of memory as a BAR", ",membar=2G,membar-backed=on"),
  simple("iommu-testdev", "QEMU's IOMMU test device: DMA without interrupts", "", [11, 0]),
  {
    name: "vfio-user",
    summary: "a device model in another process, which serves vfio-user on a Unix socket",
    model: VFIO_USER,
    since: [10, 1],
    argument: "socket",
    devices: (slot, path) => [
      JSON.stringify({ driver: VFIO_USER, addr: `0x${slot.address}`, socket: { type: "unix", path } }),
    ],
    functions: (slot) => [onRootBus(slot)],
  },
];

/** Slots 0x10 to 0x1e of the root bus, except one. QEMU gives the rest to the lab's own devices and the chipset. */
const ADDRESSES = Array.from({ length: 15 }, (_, index) => 0x10 + index).filter(
  (address) => address !== AMD_SOUTHBRIDGE_ADDRESS,
);

/** A device that the caller asked for, with its place. */
export interface PlacedDevice {
  readonly device: LabDevice;
  readonly slot: Slot;
  readonly argument: string;
}

/** Reads device choices: `igb`, `igb*2` (several instances), `vfio-user:/run/model.sock`. */
export function parseDevices(choices: readonly string[]): PlacedDevice[] {
  const placed: PlacedDevice[] = [];
  for (const choice of choices) {
    const [, name = "", argument, count = "1"] = /^([\w-]+)(?::(.*?))?(?:\*([1-9]\d*))?$/.exec(choice) ?? [];
    const device = LAB_DEVICES.find((candidate) => candidate.name === name);
    if (device === undefined) {
      throw argumentError("lab run", "device", choice, LAB_DEVICES.map(deviceUsage).join(", "));
    }
    const wantsArgument = device.argument !== undefined;
    if (wantsArgument !== (argument !== undefined && argument !== "")) {
      throw argumentError("lab run", "device", choice, deviceUsage(device));
    }
    for (let instance = 0; instance < Number(count); instance++) {
      const address = ADDRESSES[placed.length];
      if (address === undefined) {
        throw argumentError("lab run", "devices", choices.join(" "), `${ADDRESSES.length} at most`);
      }
      const slot = { number: placed.length + 1, address: address.toString(16) };
      placed.push({ device, slot, argument: argument ?? "" });
    }
  }
  return placed;
}

/** The disks of a machine's controllers. */
export function scratchDisksOf(placed: readonly PlacedDevice[]): ScratchDisk[] {
  return placed.flatMap(({ device, slot }) => device.disk?.(slot) ?? []);
}

/** `igb`, or `vfio-user:<socket>`. */
export function deviceUsage(device: LabDevice): string {
  return device.argument === undefined ? device.name : `${device.name}:<${device.argument}>`;
}

/** Throws when a device cannot work behind the IOMMU, or no process serves it. */
export function requireDevicesWork(
  placed: readonly PlacedDevice[],
  iommu: LabIommu,
  iommus: readonly LabIommu[],
): void {
  for (const { device, argument } of placed) {
    if (device.model !== VFIO_USER) continue;
    if (!iommu.announcesMappings) {
      const announcing = iommus.filter(({ announcesMappings, devices }) => announcesMappings && devices.length > 0);
      throw new VfioError(`a ${device.name} device cannot do DMA behind the IOMMU ${iommu.name}`, {
        code: "ERR_INVALID_ARGUMENT",
        operation: "lab run",
        subject: iommu.name,
        remedy: `choose another IOMMU: ${announcing.map(({ name }) => name).join(", ")}`,
      });
    }
    if (statSync(argument, { throwIfNoEntry: false })?.isSocket() !== true) {
      throw argumentError("lab run", "device", `${device.name}:${argument}`, "a Unix socket that a server listens on");
    }
  }
}

/** Throws ERR_LAB_QEMU_TOO_OLD when a device is newer than QEMU. */
export function requireDevicesServed(placed: readonly PlacedDevice[], qemu: { readonly version: Version }): void {
  for (const { device } of placed) {
    if (atLeast(qemu.version, device.since)) continue;
    throw new VfioError(
      `the device ${device.name} needs QEMU ${versionText(device.since)} or newer; the lab's is ${versionText(qemu.version)}`,
      {
        code: "ERR_LAB_QEMU_TOO_OLD",
        operation: "lab run",
        subject: device.name,
        remedy: "let the lab make its own QEMU: `lab setup --qemu root`",
      },
    );
  }
}
