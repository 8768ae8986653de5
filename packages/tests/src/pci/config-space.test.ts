import { readFileSync } from "node:fs";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { type CapabilityWalk, walkCapabilities, walkExtendedCapabilities } from "@vfio-selftests/core/pci";
import { pciDevice, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, note, requireMode } from "@vfio-selftests/harness";

const target = kernelTarget();
const mode = defaultMode(target);

const list = ({ capabilities }: CapabilityWalk): string[] =>
  capabilities.map(({ offset, name, version }) => `0x${offset.toString(16)} ${name} ${version ?? ""}`.trim());

/** Flags of the `resource` file (include/linux/ioport.h). */
const IORESOURCE_PREFETCH = 0x2000n;
const IORESOURCE_MEM_64 = 0x100000n;

/** Configuration space as the kernel shows it to root in sysfs, read by the same walk as the device's. */
function readSysfsConfig(address: string): { bytes: Buffer } & Parameters<typeof walkCapabilities>[0] {
  const bytes = readFileSync(systemPaths.pciDevice(address, "config"));
  return {
    bytes,
    size: bytes.length,
    read8: (offset) => bytes.readUInt8(offset),
    read16: (offset) => bytes.readUInt16LE(offset),
    read32: (offset) => bytes.readUInt32LE(offset),
  };
}

fixture("vfio_pci_config_and_sysfs", target, (address) => {
  requireMode(mode);

  it("capabilities_are_those_of_sysfs", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const sysfs = readSysfsConfig(address);
    const [seen, real] = [device.config.capabilities(), walkCapabilities(sysfs)];
    const [seenExtended, realExtended] = [device.config.extendedCapabilities(), walkExtendedCapabilities(sysfs)];
    expect([seen.problem, real.problem, seenExtended.problem, realExtended.problem]).toEqual(Array(4).fill(undefined));
    // vfio-pci may hide capabilities that it does not know how to virtualise; it never adds or moves one.
    expect(list(real)).toEqual(expect.arrayContaining(list(seen)));
    expect(list(realExtended)).toEqual(
      expect.arrayContaining(list(seenExtended).filter((entry) => !entry.includes("Null"))),
    );
    note(`${list(seen).length} of ${list(real).length} capabilities shown: ${list(seen).join(", ")}`);
    note(`${list(seenExtended).length} of ${list(realExtended).length} extended: ${list(seenExtended).join(", ")}`);
  });

  it("identity_is_that_of_sysfs", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const { config } = device;
    const sysfs = readSysfsConfig(address);
    expect(config.size).toBe(sysfs.size);
    expect([...config.bytes(0, 4)]).toEqual([...sysfs.bytes.subarray(0, 4)]);
    // These are the revision and the class code, then the subsystem's ids.
    expect([...config.bytes(8, 4)]).toEqual([...sysfs.bytes.subarray(8, 12)]);
    expect([...config.bytes(0x2c, 4)]).toEqual([...sysfs.bytes.subarray(0x2c, 0x30)]);
  });

  it("bars_are_the_resources_of_sysfs", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const { resources } = pciDevice(address);
    for (const bar of device.bars) {
      const resource = resources.find(({ index }) => index === bar.index);
      if (resource === undefined || resource.size === 0n) {
        expect(bar).toMatchObject({ size: 0, kind: "none" });
        continue;
      }
      expect(bar).toMatchObject({
        size: Number(resource.size),
        kind: resource.kind === "io" ? "io" : "memory",
        is64Bit: (resource.flags & IORESOURCE_MEM_64) !== 0n,
        prefetchable: (resource.flags & IORESOURCE_PREFETCH) !== 0n,
      });
    }
  });

  it("bus_master_is_off_after_open", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    expect(device.config.busMaster).toBe(false);
    device.config.busMaster = true;
    expect(readSysfsConfig(address).bytes.readUInt16LE(4) & 4).toBe(4);
    device.config.busMaster = false;
    expect(readSysfsConfig(address).bytes.readUInt16LE(4) & 4).toBe(0);
  });
});
