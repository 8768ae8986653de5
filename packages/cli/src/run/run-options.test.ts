import { environmentOptions } from "@vfio-selftests/harness";
import { namedTarget } from "./run-options";

const environment = environmentOptions({
  VFIO_SELFTESTS_BDF: "0000:01:00.0",
  VFIO_SELFTESTS_MODE: "iommufd",
  VFIO_SELFTESTS_DRIVER: "igb",
  VFIO_SELFTESTS_KVM_IRQ: "-e",
  VFIO_SELFTESTS_FULL: "1",
  VFIO_SELFTESTS_FAILING_EXAMPLE: "1",
  VFIO_SELFTESTS_LAB: "1",
});

describe("namedTarget", () => {
  it("is the environment's where the command line says nothing", () => {
    expect(namedTarget({ reporter: "default" }, environment)).toEqual(environment);
  });

  it("is the command line's where it says something", () => {
    const options = { device: ["model:dsa"], mode: ["vfio-user"], driver: ["dsa"], kvmIrq: "-v 2" } as const;
    expect(namedTarget({ reporter: "default", ...options }, environment)).toEqual({
      ...environment,
      devices: ["model:dsa"],
      modes: ["vfio-user"],
      drivers: ["dsa"],
      kvmIrq: "-v 2",
    });
    expect(namedTarget({ reporter: "default", full: true }, environmentOptions({})).full).toBe(true);
  });
});
