import { lostOptions, parseKernelConfig } from "./kernel-config";
import { labKernelFragment, makeKernelFragment } from "./kernel-fragment";

test("a lost option is told with what it has become", () => {
  const fragment = "# group\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\nCONFIG_D=18\nCONFIG_E=n\n";
  const config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_D=17\n";
  expect(lostOptions(parseKernelConfig(fragment), config)).toEqual([
    { name: "CONFIG_B", value: "y", actual: "n" },
    { name: "CONFIG_C", value: "n", actual: "y" },
    { name: "CONFIG_D", value: "18", actual: "17" },
  ]);
});

test("an option that the configuration does not name is off", () => {
  expect(lostOptions(parseKernelConfig("CONFIG_GONE=y\n"), "")).toEqual([
    { name: "CONFIG_GONE", value: "y", actual: "n" },
  ]);
});

test("a fragment's key changes with its options, not with their order or comments", () => {
  const { key } = makeKernelFragment("CONFIG_A=y\nCONFIG_B=y\n", "CONFIG_C=n\n");
  expect(makeKernelFragment("# why\nCONFIG_B=y\n", "CONFIG_C=n\n\nCONFIG_A=y\n").key).toBe(key);
  expect(makeKernelFragment("CONFIG_A=y\nCONFIG_B=y\n", "CONFIG_C=y\n").key).not.toBe(key);
});

describe("the lab's fragment", () => {
  const { required, wanted } = labKernelFragment();
  const options = [...required, ...wanted];

  test("names no option twice", () => {
    const names = options.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  test("asks for no modules: the guest has no place to load them from", () => {
    expect(options.filter(({ value }) => value === "m")).toEqual([]);
  });

  test.each(["VFIO_DEVICE_CDEV", "VFIO_GROUP", "VFIO_NOIOMMU", "IOMMUFD", "IOMMUFD_TEST", "VIRTIO_IOMMU", "HUGETLBFS"])(
    "has %s",
    (name) => {
      expect(options).toContainEqual({ name: `CONFIG_${name}`, value: "y" });
    },
  );

  test("leaves /dev/vfio/vfio to type1", () => {
    expect(options).toContainEqual({ name: "CONFIG_IOMMUFD_VFIO_CONTAINER", value: "n" });
  });
});
