import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { type HotResetInfo, Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { defaultMode, errorWithCode, fixture, note, requireMode, skip } from "@vfio-selftests/harness";

const target = kernelTarget();
const mode = defaultMode(target);

fixture("vfio_pci_hot_reset", target, (address) => {
  requireMode(mode);

  it("info_names_the_device", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const { devices, owned } = infoOf(device);
    expect(devices.map((entry) => entry.address)).toContain(address);
    note(`a bus reset affects ${devices.map((entry) => entry.address).join(", ")}; owned: ${owned}`);
  });

  for (const containerMode of target.modes.filter(({ traits }) => traits.api === "container")) {
    describe(containerMode.name, () => {
      requireMode(containerMode);

      it("groups_prove_ownership", () => {
        using iommu = new Iommu(containerMode.open());
        using device = PciDevice.open(iommu, address);
        const { devices } = infoOf(device);
        if (devices.some(({ group }) => group !== devices[0]?.group)) {
          skip({
            reason: `a reset of ${address}'s bus affects several groups`,
            remedy: "use a device alone on its bus",
          });
        }
        expect(() => device.hotReset([])).toThrow(errorWithCode("EINVAL"));
        resetOrSkip(device);
      });
    });
  }

  it("resets_registers_of_an_owned_bus", () => {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    const info = infoOf(device);
    if (info.owned !== true) {
      skip({
        reason: `a reset of ${address}'s bus affects devices of others`,
        remedy: "bind every device of the bus to vfio-pci, and use mode iommufd",
      });
    }
    device.config.busMaster = true;
    resetOrSkip(device);
    expect(device.config.vendorId).not.toBe(0xffff);
    // The kernel saves and restores configuration space around the reset.
    expect(device.config.busMaster).toBe(true);
  });
});

function resetOrSkip(device: PciDevice): void {
  try {
    device.hotReset();
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ENOTTY") throw error;
    // QEMU's root port does not set "Data Link Layer Link Active" again, so Linux gives up (pcie_wait_for_link).
    skip({
      reason: `the kernel reset the bus of ${device.address} but did not see the link come up again`,
      remedy: "use a device behind a conventional bridge: pnpm vfio lab run --device edu-group",
    });
  }
}

function infoOf(device: PciDevice): HotResetInfo {
  try {
    return device.hotResetInfo();
  } catch (error) {
    if (!(error instanceof VfioError) || error.code !== "ENODEV") throw error;
    skip({
      reason: `the bus of ${device.address} cannot be reset (it is the root bus)`,
      remedy: "use a device behind a root port or bridge: pnpm vfio lab run --device igb",
    });
  }
}
