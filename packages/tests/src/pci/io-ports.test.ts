import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { defaultMode, fixture, requireMode, skip } from "@vfio-selftests/harness";

const target = kernelTarget();
const mode = defaultMode(target);

/**
 * These Intel network cards show their registers through two ports, an address and the data (82576, section 8.1.1.5).
 */
const INTEL_WINDOW_DEVICES = [0x10c9, 0x10d3];
const IOADDR = 0;
const IODATA = 4;
const STATUS = 0x8;
/** Flow control transmit timer: a register that only software changes. */
const FCTTV = 0x170;

fixture("vfio_pci_io_ports", target, (address) => {
  requireMode(mode);

  it("show_the_registers_that_the_memory_bar_shows", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const ports = device.bars.find(({ kind }) => kind === "io");
    if (ports === undefined || !INTEL_WINDOW_DEVICES.some((id) => device.matches(0x8086, id))) {
      skip({
        reason: `${address} has no I/O ports whose meaning is known`,
        remedy: "pnpm vfio lab run --device igb",
      });
    }
    expect(ports.mappable).toBe(false);
    expect(ports.mapping).toBeUndefined();
    const registers = device.bar(0);
    device.config.setCommand(1);
    ports.write32(IOADDR, STATUS);
    expect(ports.read32(IODATA)).toBe(registers.read32(STATUS));
    for (const value of [0x1234, 0xabcd]) {
      ports.write32(IOADDR, FCTTV);
      ports.write32(IODATA, value);
      expect(registers.read32(FCTTV)).toBe(value);
      registers.write32(FCTTV, value ^ 0xffff);
      expect(ports.read32(IODATA)).toBe(value ^ 0xffff);
    }
    expect(() => ports.read32(ports.size)).toThrow(/offset/);
  });
});
