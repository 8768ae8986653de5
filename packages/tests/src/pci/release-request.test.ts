import { spawn } from "node:child_process";
import { once } from "node:events";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { existsPath, linkName, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, GuardedDriver, requireMode } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";

const target = kernelTarget();
const mode = defaultMode(target);

/** The kernel asks at once and then every 10 s (vfio_unregister_group_dev). */
const REQUEST_MS = 20_000;

fixture("vfio_pci_release_request", target, (address) => {
  requireMode(mode);
  onlyInLab("the test unbinds the device from its driver");

  it("unbinding_raises_REQ_and_waits_for_the_close", async () => {
    using guarded = new GuardedDriver(address);
    const driver = guarded.original ?? "vfio-pci";
    const bound = systemPaths.pciDevice(address, "driver");
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    device.interrupts.req.enable();
    const asked = device.interrupts.req.vector(0).wait({ timeoutMs: REQUEST_MS });
    // In a process of its own: the write returns only when the device is closed.
    const unbind = spawn("sh", ["-c", `echo ${address} > /sys/bus/pci/drivers/${driver}/unbind`], { stdio: "ignore" });
    const ended = once(unbind, "exit");
    try {
      await expect(asked).resolves.toBe(1n);
      expect(unbind.exitCode).toBeNull();
      device.close();
      expect((await ended)[0]).toBe(0);
      expect(existsPath(bound)).toBe(false);
    } finally {
      device.close();
      await ended;
    }
    guarded[Symbol.dispose]();
    expect(linkName(bound)).toBe(driver);
  }, 60_000);
});
