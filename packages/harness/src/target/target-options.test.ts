import { environmentOptions, TARGET, targetOptions } from "./target-options";

const NOTHING = {
  devices: [],
  modes: [],
  drivers: [],
  full: false,
  kvmIrq: undefined,
  seed: undefined,
  failingExample: false,
  lab: false,
  slowdown: 1,
  confined: false,
  stage: undefined,
};

describe("environmentOptions", () => {
  it("names nothing where no variable is set", () => {
    expect(environmentOptions({ PATH: "/bin" })).toEqual(NOTHING);
  });

  it("reads every variable; lists are separated by spaces or commas", () => {
    const environment = {
      VFIO_SELFTESTS_BDF: "0000:6a:01.0, 0000:6b:00.0",
      VFIO_SELFTESTS_MODE: "iommufd",
      VFIO_SELFTESTS_DRIVER: " ./mine.cjs  @acme/driver ",
      VFIO_SELFTESTS_FULL: "1",
      VFIO_SELFTESTS_KVM_IRQ: "-e -v 4",
      VFIO_SELFTESTS_SEED: "77",
      VFIO_SELFTESTS_FAILING_EXAMPLE: "1",
      VFIO_SELFTESTS_LAB: "1",
      VFIO_SELFTESTS_SLOWDOWN: "12",
      VFIO_SELFTESTS_CONFINED: "1",
      VFIO_SELFTESTS_STAGE: "2",
    };
    expect(environmentOptions(environment)).toEqual({
      devices: ["0000:6a:01.0", "0000:6b:00.0"],
      modes: ["iommufd"],
      drivers: ["./mine.cjs", "@acme/driver"],
      full: true,
      kvmIrq: "-e -v 4",
      seed: 77,
      failingExample: true,
      lab: true,
      slowdown: 12,
      confined: true,
      stage: 2,
    });
  });
});

it.each(["VFIO_SELFTESTS_SEED", "VFIO_SELFTESTS_SLOWDOWN", "VFIO_SELFTESTS_STAGE"])(
  "%s that is no number is an error",
  (name) => {
    expect(() => environmentOptions({ [name]: "1x" })).toThrow(new RegExp(`${name}.*a whole number`));
  },
);

it.each(["0", "3"])("%s is no stage of a live update", (stage) => {
  expect(() => environmentOptions({ VFIO_SELFTESTS_STAGE: stage })).toThrow(
    /VFIO_SELFTESTS_STAGE.*1 before .*, 2 after/,
  );
});

describe("targetOptions", () => {
  const given = (options: object | undefined) => Object.assign(globalThis, { [TARGET]: options });
  const environment = { VFIO_SELFTESTS_BDF: "0000:01:00.0", VFIO_SELFTESTS_MODE: "iommufd" };
  afterEach(() => given(undefined));

  it("are the environment's where jest was given none", () => {
    expect(targetOptions(environment)).toEqual({ ...NOTHING, devices: ["0000:01:00.0"], modes: ["iommufd"] });
  });

  it("given to jest win over the environment's, also when they are empty", () => {
    given({ devices: ["model:ioat"], modes: [] });
    expect(targetOptions(environment)).toEqual({ ...NOTHING, devices: ["model:ioat"] });
  });

  it("of another name are an error that tells the names", () => {
    given({ device: ["model:ioat"] });
    expect(() => targetOptions(environment)).toThrow(/"?device"?; allowed: devices, modes, drivers, full, kvmIrq/);
  });
});
