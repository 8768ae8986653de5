/** The machine's state under `/sys`, `/dev` and `/proc`, and the binding of drivers (`@vfio-selftests/core/sysfs`). */
export * from "./binding-store";
export * from "./device-use/device-uses";
export * from "./driver-binding";
export * from "./file-holders";
export * from "./huge-pages";
export * from "./iommu-groups";
export * from "./make-folder";
export * from "./pci-address";
export * from "./pci-devices";
export * from "./sriov";
export * from "./system-paths";
export * from "./vfio-cdev";
export * from "./vfio-driver";
export * from "./vfio-users";
