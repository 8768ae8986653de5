import type { LabIommu } from "../machine/iommus";

/** What of a VM, its kernel and its programs depends on the CPU that the VM has. */
export interface LabArchitecture {
  /** Its name for `--arch`. */
  readonly name: "x86_64" | "arm64";
  /** Node's name of it (`process.arch`), which npm's packages have in their names, too. */
  readonly node: "x64" | "arm64";
  /** Debian's name of it. */
  readonly debian: "amd64" | "arm64";
  /** What QEMU needs for it. */
  readonly qemu: {
    readonly program: string;
    /** The Debian package that has it. */
    readonly package: string;
    /** QEMU's machine, without the accelerator. */
    readonly machine: string;
    readonly cpu: string;
    /** Features that the CPU lacks where QEMU emulates it, because it is faster without them. */
    readonly slowToEmulate: readonly string[];
    /** Makes the kernel's own driver serve hot-plug slots (pciehp) where the machine would take them for ACPI. */
    readonly nativeHotplug: readonly string[];
    /** Devices that the VM needs on this architecture alone. */
    readonly models: readonly string[];
  };
  /** The serial port that is the kernel's console. */
  readonly console: string;
  /** Kernel parameters that only this architecture has. */
  readonly kernelParameters: readonly string[];
  /** The IOMMUs that the VM can have. The first is the default. */
  readonly iommus: readonly [LabIommu, ...LabIommu[]];
  /** How the kernel for it is made. */
  readonly kernel: KernelArchitecture;
}

/** How a kernel for the architecture is made. */
export interface KernelArchitecture {
  /** make's target, and the name of the image in the cache. */
  readonly image: string;
  /** Where make leaves the image in its build folder. */
  readonly builtImage: string;
  /** Bytes by which one recognises the image. */
  readonly signature: { readonly offset: number; readonly text: string };
  /** Variables on make's command line. */
  readonly makeVariables: readonly string[];
  readonly compiler: string;
  /** Programs of the build, with the Debian packages that have them. */
  readonly tools: readonly { readonly program: string; readonly package: string }[];
  /** The folder below `kernel/` with the options that differ from x86_64's. Undefined: none do. */
  readonly differences?: string;
}
