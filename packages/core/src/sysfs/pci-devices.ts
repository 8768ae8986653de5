import { existsSync } from "node:fs";
import { VfioError } from "../errors/vfio-error";
import { normalizePciAddress } from "./pci-address";
import { linkName, listDirectory, readAttribute, readNumber, type SystemPaths, systemPaths } from "./system-paths";

/** One line of a device's `resource` file: a BAR (0 to 5), the ROM (6), or an SR-IOV BAR (7 to 12). */
export interface PciResource {
  /** 0 to 5: a BAR; 6: the ROM; 7 to 12: an SR-IOV BAR. */
  readonly index: number;
  /** The first bus address; 0 if not implemented. */
  readonly start: bigint;
  /** Bytes; 0 if not implemented. */
  readonly size: bigint;
  /** The kernel's IORESOURCE flags. */
  readonly flags: bigint;
  /** What the BAR decodes; `none` if not implemented. */
  readonly kind: "io" | "memory" | "none";
}

/** A PCI function's description in sysfs. */
export interface PciDeviceEntry {
  /** `0000:6a:01.0`. */
  readonly address: string;
  /** Vendor id, 16 bits. */
  readonly vendor: number;
  /** Device id, 16 bits. */
  readonly device: number;
  /** Subsystem vendor id, 16 bits. */
  readonly subsystemVendor: number;
  /** Subsystem id, 16 bits. */
  readonly subsystemDevice: number;
  /** 24 bits: base class, sub-class, programming interface. */
  readonly class: number;
  /** 8 bits. */
  readonly revision: number;
  /** Name of the bound driver. */
  readonly driver: string | undefined;
  /** Contents of driver_override, if one is set. */
  readonly driverOverride: string | undefined;
  /** The IOMMU group's number; undefined for a device that is behind no IOMMU. */
  readonly iommuGroup: number | undefined;
  /** The NUMA node; undefined where the machine does not tell one. */
  readonly numaNode: number | undefined;
  /** Set on a physical function with SR-IOV. */
  readonly sriov: { readonly total: number; readonly enabled: number } | undefined;
  /** Set on a virtual function: the address of its physical function. */
  readonly physicalFunction: string | undefined;
  /** The lines of its `resource` file. */
  readonly resources: readonly PciResource[];
}

const IORESOURCE_IO = 0x100n;
const IORESOURCE_MEM = 0x200n;

/** Base class of bridges (PCI Code and ID Assignment Specification, section 1.7). */
const BRIDGE_CLASS = 0x06;

/** Bridges have no functions for user space, because vfio-pci takes only functions with a type 0 header. */
export function isBridge(device: PciDeviceEntry): boolean {
  return device.class >>> 16 === BRIDGE_CLASS;
}

/** All PCI functions, by address. */
export function listPciDevices(paths: SystemPaths = systemPaths): PciDeviceEntry[] {
  return listDirectory(paths.sys("bus", "pci", "devices")).map((address) => readEntry(address, paths));
}

/** One PCI function. Throws ENODEV if there is none at this address. */
export function pciDevice(address: string, paths: SystemPaths = systemPaths): PciDeviceEntry {
  return readEntry(requirePciDevice(address, paths), paths);
}

/** The kernel's spelling of an existing device's address. Throws ENODEV for any other. */
export function requirePciDevice(address: string, paths: SystemPaths = systemPaths): string {
  const normalized = normalizePciAddress(address);
  if (existsSync(paths.pciDevice(normalized))) return normalized;
  throw new VfioError(`no PCI device at ${normalized}`, {
    code: "ENODEV",
    operation: "find PCI device",
    subject: normalized,
    remedy: "choose one that vfio-selftests list (or lspci -D) shows",
  });
}

function readEntry(address: string, paths: SystemPaths): PciDeviceEntry {
  const attribute = (name: string) => paths.pciDevice(address, name);
  const number = (name: string) => readNumber(attribute(name)) ?? 0;
  const override = readAttribute(attribute("driver_override"));
  const group = linkName(attribute("iommu_group"));
  const numaNode = readNumber(attribute("numa_node"));
  const totalVfs = readNumber(attribute("sriov_totalvfs"));
  return {
    address,
    vendor: number("vendor"),
    device: number("device"),
    subsystemVendor: number("subsystem_vendor"),
    subsystemDevice: number("subsystem_device"),
    class: number("class"),
    revision: number("revision"),
    driver: linkName(attribute("driver")),
    driverOverride: override === undefined || override === "(null)" || override === "" ? undefined : override,
    iommuGroup: group === undefined ? undefined : Number(group),
    numaNode: numaNode === undefined || numaNode < 0 ? undefined : numaNode,
    sriov: totalVfs === undefined ? undefined : { total: totalVfs, enabled: number("sriov_numvfs") },
    physicalFunction: linkName(attribute("physfn")),
    resources: parseResources(readAttribute(attribute("resource")) ?? ""),
  };
}

/** Parses lines of `start end flags`, in hexadecimal. An unimplemented resource is all zero. */
export function parseResources(text: string): PciResource[] {
  return text
    .split("\n")
    .filter((line) => /^0x[0-9a-f]+ 0x[0-9a-f]+ 0x[0-9a-f]+$/.test(line))
    .map((line, index) => {
      const [start = 0n, end = 0n, flags = 0n] = line.split(" ").map(BigInt);
      const kind = (flags & IORESOURCE_MEM) !== 0n ? "memory" : (flags & IORESOURCE_IO) !== 0n ? "io" : "none";
      return { index, start, size: flags === 0n ? 0n : end - start + 1n, flags, kind };
    });
}
