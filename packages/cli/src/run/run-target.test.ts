import { BindingStore } from "@vfio-selftests/core/sysfs";
import { FakeSystem } from "@vfio-selftests/core/testing";
import { environmentOptions } from "@vfio-selftests/harness";
import { chooseTarget } from "./run-target";

const NOTHING_NAMED = environmentOptions({});

describe("a run on models", () => {
  let system: FakeSystem;
  beforeEach(() => {
    system = new FakeSystem();
    for (const [address, driver] of [
      ["0000:02:00.0", "vfio-pci"],
      ["0000:01:00.0", "mlx5_vfio_pci"],
      ["0000:03:00.0", "igb"],
    ] as const) {
      system.pci({ address, driver });
    }
  });
  afterEach(() => {
    jest.restoreAllMocks();
    system[Symbol.dispose]();
  });

  const bind = (...addresses: string[]): void => {
    for (const address of addresses) new BindingStore(system.paths).save({ address });
  };

  it("tells that it leaves the devices out that `bind` has taken, with the command that tests them", async () => {
    // Called by its own name, however jest was called.
    jest.replaceProperty(process, "env", {});
    bind("0000:02:00.0", "0000:01:00.0");
    const { entry, headline } = await chooseTarget(NOTHING_NAMED, system.paths);
    expect(entry).toBe("models");
    expect(headline.at(-1)).toBe(
      "Bound to vfio-pci, but not tested by this run: 0000:01:00.0, 0000:02:00.0. " +
        "For that: vfio-selftests run -d 0000:01:00.0 -d 0000:02:00.0",
    );
  });

  it("tells nothing of devices that have gone back, or when models are asked for by name", async () => {
    // `bind` took these once, and something other than `unbind` gave them back.
    bind("0000:03:00.0", "0000:04:00.0");
    expect((await chooseTarget(NOTHING_NAMED, system.paths)).headline).toHaveLength(2);
    bind("0000:02:00.0");
    const named = { ...NOTHING_NAMED, devices: ["model:ioat"] };
    expect((await chooseTarget(named, system.paths)).headline).toHaveLength(2);
  });
});

test("a model that is named twice is tested once", async () => {
  const { options } = await chooseTarget({ ...NOTHING_NAMED, devices: ["model:ioat", "model:ioat"] });
  expect(options.devices).toEqual(["model:ioat"]);
});

test("KVM's interrupt test is not left out in silence where there is no device of the kernel", async () => {
  const named = { ...NOTHING_NAMED, kvmIrq: "-a" };
  await expect(chooseTarget(named)).rejects.toThrow(
    "--kvm-irq needs a device of the kernel, and ioat, dsa, nv-falcon is none",
  );
});

describe("a run on the kernel's devices", () => {
  it("takes every device of a vendor and device, and says which of them is not ready", async () => {
    using system = new FakeSystem();
    system.pci({ address: "0000:02:00.0", vendor: 0x8086, device: 0x0e20, driver: "ioatdma" });
    system.pci({ address: "0000:03:00.0", vendor: 0x8086, device: 0x10c9, driver: "vfio-pci" });
    system.pci({ address: "0000:04:00.0", vendor: 0x8086, device: 0x10c9, driver: "igb" });
    const named = { ...NOTHING_NAMED, devices: ["8086:10c9"] };
    await expect(chooseTarget(named, system.paths)).rejects.toThrow("0000:04:00.0 is bound to igb, not to vfio-pci");
  });
});
