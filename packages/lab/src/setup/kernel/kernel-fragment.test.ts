import { parseArchitecture } from "../../architecture/architecture";
import { labKernelFragment } from "./kernel-fragment";

const arm64 = labKernelFragment(parseArchitecture("arm64"));
const valueOf = (options: readonly { name: string; value: string }[], name: string): string | undefined =>
  options.find((option) => option.name === name)?.value;

test("arm64 keeps the options that do not depend on the CPU, and has its own console, IOMMU and PCI host", () => {
  for (const name of ["CONFIG_IOMMUFD", "CONFIG_VFIO_DEVICE_CDEV", "CONFIG_VIRTIO_FS"]) {
    expect(valueOf(arm64.required, name)).toBe("y");
  }
  for (const name of ["CONFIG_SERIAL_AMBA_PL011_CONSOLE", "CONFIG_ARM_SMMU_V3", "CONFIG_PCI_HOST_GENERIC"]) {
    expect(valueOf(arm64.required, name)).toBe("y");
  }
});

test("what only x86 has is not asked for on arm64", () => {
  expect(valueOf(arm64.required, "CONFIG_INTEL_IOMMU")).toBeUndefined();
  expect(valueOf(arm64.wanted, "CONFIG_INTEL_IOMMU")).toBe("n");
});

test("an option has one value", () => {
  const names = [...arm64.required, ...arm64.wanted].map(({ name }) => name);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test("the architecture is part of the key by which the cache finds a kernel", () => {
  expect(arm64.key).not.toBe(labKernelFragment().key);
});
