import { X86_IOMMUS } from "../machine/iommus";
import type { LabArchitecture } from "./lab-architecture";

export const X86_64: LabArchitecture = {
  name: "x86_64",
  node: "x64",
  debian: "amd64",
  qemu: {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    machine: "q35,kernel-irqchip=split",
    cpu: "max",
    // With either of them the kernel and the C library clear and copy memory by REP STOSB and REP MOVSB, which TCG does byte by
    // byte: a first touch of memory takes 2.7 times as long.
    slowToEmulate: ["erms", "fsrm"],
    nativeHotplug: ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"],
    models: ["intel-iommu"],
  },
  console: "ttyS0",
  // The kernel checks its timer by counting ticks. On a busy machine an emulated CPU sees too few, and it panics.
  kernelParameters: ["no_timer_check"],
  iommus: X86_IOMMUS,
  kernel: {
    image: "bzImage",
    builtImage: "arch/x86/boot/bzImage",
    // Documentation/arch/x86/boot.rst, "header"
    signature: { offset: 0x202, text: "HdrS" },
    makeVariables: [],
    compiler: "gcc",
    tools: [
      { program: "gcc", package: "gcc" },
      { program: "ld", package: "binutils" },
    ],
  },
};
