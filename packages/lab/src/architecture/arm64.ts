import { ARM64_IOMMUS } from "../machine/iommus";
import type { LabArchitecture } from "./lab-architecture";

const TOOLS = "aarch64-linux-gnu";

export const ARM64: LabArchitecture = {
  name: "arm64",
  node: "arm64",
  debian: "arm64",
  qemu: {
    program: "qemu-system-aarch64",
    package: "qemu-system-arm",
    machine: "virt,gic-version=3,its=on",
    // A CPU without pointer authentication, whose algorithm TCG computes slowly (docs/system/arm/cpu-features.rst).
    cpu: "neoverse-n1",
    slowToEmulate: [],
    nativeHotplug: [],
    models: ["arm-smmuv3"],
  },
  console: "ttyAMA0",
  kernelParameters: [],
  iommus: ARM64_IOMMUS,
  kernel: {
    image: "Image",
    builtImage: "arch/arm64/boot/Image",
    // Documentation/arch/arm64/booting.rst, "magic"
    signature: { offset: 0x38, text: "ARM\x64" },
    makeVariables: ["ARCH=arm64", `CROSS_COMPILE=${TOOLS}-`],
    compiler: `${TOOLS}-gcc`,
    tools: [
      // The build's own programs run here.
      { program: "gcc", package: "gcc" },
      { program: `${TOOLS}-gcc`, package: `gcc-${TOOLS}` },
      { program: `${TOOLS}-ld`, package: `binutils-${TOOLS}` },
    ],
    differences: "arm64",
  },
};
