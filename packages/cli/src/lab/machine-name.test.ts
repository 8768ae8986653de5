import { machineName } from "./machine-name";

test.each([
  [{}, "igb+intel"],
  [{ devices: ["edu"], iommu: "amd", with: ["kasan"] }, "edu+amd+kasan"],
  [{ arch: "x86_64" }, "igb+intel"],
  [{ arch: "arm64" }, "igb+smmuv3+arm64"],
  [{ arch: "arm64", iommu: "virtio" }, "igb+virtio+arm64"],
] as const)("%j is kept as %s", (machine, name) => {
  expect(machineName(machine)).toBe(name);
});
