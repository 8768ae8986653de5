import type { Driver } from "@vfio-selftests/core/driver";
import {
  type CapabilityWalk,
  PciCapabilityId,
  PciConfig,
  walkCapabilities,
  walkExtendedCapabilities,
} from "@vfio-selftests/core/pci";
import {
  groupBlockers,
  iommuGroupMembers,
  type PciDeviceEntry,
  type PciResource,
  readAttribute,
  type SystemPaths,
} from "@vfio-selftests/core/sysfs";
import { assessDevice, type ListedDevice } from "../list/assess-device";
import { describeCapabilities, type DescribedCapability, vectorCount } from "./capability-facts";
import { ConfigImage } from "./config-image";
import { PciIds, type PciNames } from "./pci-ids";

/** A region as the kernel assigned it. */
interface DescribedResource {
  readonly name: string;
  readonly kind: "io" | "memory";
  readonly start: bigint;
  readonly size: bigint;
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
}

interface DescribedGroup {
  readonly number: number;
  /** The kernel's own domain: `DMA`, `DMA-FQ`, `identity`, … */
  readonly type?: string;
  readonly viable: boolean;
  readonly members: readonly { readonly address: string; readonly driver?: string; readonly blocks: boolean }[];
}

interface DescribedCapabilities {
  /** False where this user sees the header alone. */
  readonly readable: boolean;
  readonly standard: readonly DescribedCapability[];
  readonly extended: readonly DescribedCapability[];
  /** What is wrong with the lists. */
  readonly problems: readonly string[];
}

interface DescribedInterrupts {
  /** `A` to `D`, where the device has INTx. */
  readonly pin?: string;
  /** Vectors that the device has; absent where it has none, or where capabilities are not readable. */
  readonly msi?: number;
  readonly msix?: number;
}

/** What sysfs tells of a device. */
export interface DeviceDescription extends ListedDevice {
  readonly revision: number;
  /** Base class, sub-class, programming interface: 24 bits. */
  readonly classCode: number;
  readonly subsystemIds: string;
  /** Undefined where the machine has no pci.ids. */
  readonly names?: PciNames;
  readonly numaNode?: number;
  readonly sriov?: PciDeviceEntry["sriov"];
  readonly physicalFunction?: string;
  readonly iommuGroup?: DescribedGroup;
  readonly resources: readonly DescribedResource[];
  readonly capabilities: DescribedCapabilities;
  readonly interrupts: DescribedInterrupts;
  /** All reads are ones: the device does not answer. */
  readonly lost: boolean;
}

/** IORESOURCE_PREFETCH and IORESOURCE_MEM_64 (include/linux/ioport.h). */
const PREFETCH = 0x2000n;
const MEM_64 = 0x100000n;

export function describeDevice(
  entry: PciDeviceEntry,
  drivers: readonly Driver[],
  paths: SystemPaths,
): DeviceDescription {
  const config = ConfigImage.ofDevice(entry.address, paths);
  const names = PciIds.find(paths)?.names(entry);
  const { numaNode, sriov, physicalFunction, iommuGroup } = entry;
  const capabilities = capabilitiesOf(config);
  return {
    ...assessDevice(entry, drivers, paths),
    revision: entry.revision,
    classCode: entry.class,
    subsystemIds: `${hex(entry.subsystemVendor)}:${hex(entry.subsystemDevice)}`,
    ...(names === undefined ? {} : { names }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(sriov === undefined ? {} : { sriov }),
    ...(physicalFunction === undefined ? {} : { physicalFunction }),
    ...(iommuGroup === undefined ? {} : { iommuGroup: describeGroup(iommuGroup, paths) }),
    resources: entry.resources.flatMap(describeResource),
    capabilities,
    interrupts: config === undefined ? {} : interruptsOf(config, capabilities),
    lost: config !== undefined && isLost(config),
  };
}

/**
 * Whether a read of the ids gives only ones. A VF's ids do so always (SR-IOV, section 9.3.4.1.1), so its command
 * register counts, which then has bits that no device can set.
 */
export function isLost(config: ConfigImage): boolean {
  return config.read32(PciConfig.vendorId) === 0xffffffff && config.read16(PciConfig.command) === 0xffff;
}

function describeGroup(group: number, paths: SystemPaths): DescribedGroup {
  const type = readAttribute(paths.sys("kernel", "iommu_groups", String(group), "type"));
  const blockers = new Set(groupBlockers(group, paths).map(({ address }) => address));
  return {
    number: group,
    ...(type === undefined ? {} : { type }),
    viable: blockers.size === 0,
    members: iommuGroupMembers(group, paths).map(({ address, driver }) => ({
      address,
      ...(driver === undefined ? {} : { driver }),
      blocks: blockers.has(address),
    })),
  };
}

function describeResource({ index, kind, start, size, flags }: PciResource): DescribedResource[] {
  if (size === 0n || kind === "none") return [];
  const name = index < 6 ? `BAR ${index}` : index === 6 ? "ROM" : `VF BAR ${index - 7}`;
  return [{ name, kind, start, size, is64Bit: (flags & MEM_64) !== 0n, prefetchable: (flags & PREFETCH) !== 0n }];
}

function capabilitiesOf(config: ConfigImage | undefined): DescribedCapabilities {
  if (config === undefined || config.isHeaderOnly) return { readable: false, standard: [], extended: [], problems: [] };
  const standard = walkCapabilities(config);
  const extended = walkExtendedCapabilities(config);
  return {
    readable: true,
    standard: describeCapabilities(standard, config, "standard"),
    extended: describeCapabilities(extended, config, "extended"),
    problems: [standard, extended].flatMap(({ problem }: CapabilityWalk) => problem ?? []),
  };
}

function interruptsOf(config: ConfigImage, { standard }: DescribedCapabilities): DescribedInterrupts {
  const pin = config.read8(PciConfig.interruptPin);
  const count = (id: number): number | undefined => {
    const capability = standard.find((one) => one.id === id);
    return capability === undefined ? undefined : vectorCount(config, capability);
  };
  const msi = count(PciCapabilityId.msi);
  const msix = count(PciCapabilityId.msix);
  return {
    ...(pin >= 1 && pin <= 4 ? { pin: " ABCD".charAt(pin) } : {}),
    ...(msi === undefined ? {} : { msi }),
    ...(msix === undefined ? {} : { msix }),
  };
}

function hex(value: number): string {
  return value.toString(16).padStart(4, "0");
}
