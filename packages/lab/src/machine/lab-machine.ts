import { argumentError } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE, parseArchitecture } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { parseDevices, type PlacedDevice, requireDevicesWork } from "./devices";
import { type LabIommu, parseIommu } from "./iommus";
import { moduleTree, requireModulesOf } from "./kernel/module-tree";
import { requireKernel } from "./kernel/required-kernel";
import { writableFolders } from "./shares";

/** Huge pages that the guest reserves at boot. */
export interface HugePages {
  /** How many of 1 GiB. */
  readonly gib1: number;
  /** How many of 2 MiB. */
  readonly mib2: number;
}

/** A VM as a caller describes it. Every part has a default. */
export interface LabMachineOptions {
  /** A name from `LAB_ARCHITECTURES`. Default: `x86_64`. */
  readonly arch?: LabArchitecture["name"];
  /** Names from `LAB_DEVICES`, `name*count` for several, `vfio-user:<socket>`. Default: one `igb`. */
  readonly devices?: readonly string[];
  /** A name from the architecture's `iommus`. Default: the first, `intel` on x86_64. */
  readonly iommu?: string;
  /** Kernel instead of the one that the set-up chose: an image, or the kernel tree or build folder that has one. */
  readonly kernel?: string;
  /** Boots `kernel` even if its configuration is known to lack what the lab needs. Default: it is refused. */
  readonly anyConfig?: boolean;
  /**
   * The folder of `make modules_install INSTALL_MOD_PATH=FOLDER`. The guest has its `lib/modules` as `/lib/modules`, and loads what
   * the lab and its devices need. Default: no modules.
   */
  readonly modules?: string;
  /** Guest memory in MiB, 512 to 1,048,576. Default 6144. */
  readonly memoryMiB?: number;
  /** Guest CPUs, 1 to 64. Default 2. */
  readonly cpus?: number;
  /** Huge pages reserved in the guest. Default: one of 1 GiB, 64 of 2 MiB. */
  readonly hugePages?: HugePages;
  /** More kernel parameters. */
  readonly kernelParameters?: readonly string[];
  /** More words for QEMU's command line, after the lab's own: `-device`, `pci-testdev`. */
  readonly qemuArguments?: readonly string[];
  /** Folders of the host that the guest may write to, beside the one that the command starts in. */
  readonly writable?: readonly string[];
  /** Milliseconds from power-on to the command's start. Default 60,000. */
  readonly bootTimeoutMs?: number;
  /** How many times longer the kernel takes than the lab's own: tests get more time. Default 1. */
  readonly slowdown?: number;
}

/** The complete, checked description of a VM, which makes QEMU's command line and the guest's plan. */
export interface LabMachine {
  /** The CPU's architecture. */
  readonly architecture: LabArchitecture;
  /** The devices, each with its slot. */
  readonly devices: readonly PlacedDevice[];
  /** The IOMMU. */
  readonly iommu: LabIommu;
  /** The path of the image. Undefined: the set-up's. */
  readonly kernel: string | undefined;
  /** The guest's `/lib/modules`, a real path of the host. Undefined: it has none. */
  readonly modules: string | undefined;
  /** Guest memory in MiB. */
  readonly memoryMiB: number;
  /** Guest CPUs. */
  readonly cpus: number;
  /** Huge pages reserved at boot. */
  readonly hugePages: HugePages;
  /** Parameters beside the lab's own. */
  readonly kernelParameters: readonly string[];
  /** Words for QEMU's command line after the lab's own. */
  readonly qemuArguments: readonly string[];
  /** Real paths of the host's folders that the guest may write to, beside the current one. */
  readonly writable: readonly string[];
  /** Milliseconds from power-on to the command's start. */
  readonly bootTimeoutMs: number;
  /** How many times longer the kernel takes than the lab's own. */
  readonly slowdown: number;
}

/** The VM that a caller gets who describes none. */
export const LAB_DEFAULTS = {
  devices: ["igb"],
  memoryMiB: 6144,
  cpus: 2,
  hugePages: { gib1: 1, mib2: 64 },
  bootTimeoutMs: 60_000,
  slowdown: 1,
} as const satisfies LabMachineOptions;

/** The ranges of the numbers. */
export const LAB_LIMITS = {
  /** With less, no Node.js starts. The upper limit only catches mistakes. */
  memoryMiB: { least: 512, most: 2 ** 20 },
  /** `CONFIG_NR_CPUS` of the lab's kernel. */
  cpus: { least: 1, most: 64 },
  /** VMs at once. The cache keeps the consoles of twenty. */
  jobs: { least: 1, most: 16 },
  bootTimeoutMs: { least: 1, most: 24 * 3600 * 1000 },
  slowdown: { least: 1, most: 1000 },
  hugePages: { least: 0, most: 2 ** 20 },
} as const;
/** The bytes that the lab's own parameters leave of the 2048 that x86 takes (`COMMAND_LINE_SIZE`). */
const PARAMETER_BYTES = 1200;

/**
 * Checks all that can be checked before anything is prepared or started.
 *
 * @throws VfioError `ERR_INVALID_ARGUMENT`, `ERR_LAB_NO_IMAGE`, `ERR_LAB_KERNEL_CONFIG`
 */
export function describeMachine(options: LabMachineOptions): LabMachine {
  const { kernelParameters = [], qemuArguments = [], hugePages = LAB_DEFAULTS.hugePages } = options;
  const devices = parseDevices(options.devices ?? LAB_DEFAULTS.devices);
  const architecture = options.arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(options.arch);
  const [defaultIommu] = architecture.iommus;
  const iommu = parseIommu(options.iommu ?? defaultIommu.name, architecture.iommus);
  requireDevicesWork(devices, iommu, architecture.iommus);
  const modules = options.modules === undefined ? undefined : moduleTree(options.modules);
  const demands = { hasModules: modules !== undefined, anyConfig: options.anyConfig };
  const kernel = options.kernel === undefined ? undefined : requireKernel(options.kernel, architecture, demands);
  if (kernel !== undefined && modules !== undefined) requireModulesOf(kernel, modules);
  requireParameters(kernelParameters);
  requireQemuArguments(qemuArguments);
  return {
    architecture,
    devices,
    iommu,
    kernel,
    modules,
    memoryMiB: inRange("memory (MiB)", options.memoryMiB ?? LAB_DEFAULTS.memoryMiB, LAB_LIMITS.memoryMiB),
    cpus: inRange("cpus", options.cpus ?? LAB_DEFAULTS.cpus, LAB_LIMITS.cpus),
    hugePages: {
      gib1: inRange("huge pages of 1 GiB", hugePages.gib1, LAB_LIMITS.hugePages),
      mib2: inRange("huge pages of 2 MiB", hugePages.mib2, LAB_LIMITS.hugePages),
    },
    kernelParameters,
    qemuArguments,
    writable: writableFolders(options.writable ?? []),
    bootTimeoutMs: inRange(
      "boot time-out (ms)",
      options.bootTimeoutMs ?? LAB_DEFAULTS.bootTimeoutMs,
      LAB_LIMITS.bootTimeoutMs,
    ),
    slowdown: inRange("slowdown", options.slowdown ?? LAB_DEFAULTS.slowdown, LAB_LIMITS.slowdown),
  };
}

function inRange(name: string, value: number, { least, most }: { least: number; most: number }): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw argumentError("lab run", name, value, `a whole number, ${least} to ${most}`);
}

function requireParameters(parameters: readonly string[]): void {
  for (const parameter of parameters) {
    // What follows a "--" on the kernel's command line is an argument of init.
    if (!/[^\s]/.test(parameter) || /[\n\0]/.test(parameter) || /(^|\s)--(\s|$)/.test(parameter)) {
      throw argumentError("lab run", "append", parameter, "kernel parameters, on one line, without a -- of their own");
    }
  }
  const bytes = Buffer.byteLength(parameters.join(" "));
  if (bytes > PARAMETER_BYTES) {
    throw argumentError("lab run", "append", `${bytes} bytes`, `${PARAMETER_BYTES} bytes of kernel parameters at most`);
  }
}

/** What a word means is for QEMU to say. An empty one is a shell variable without a value. */
function requireQemuArguments(words: readonly string[]): void {
  const wrong = words.find((word) => word === "" || word.includes("\0"));
  if (wrong === undefined) return;
  throw argumentError("lab run", "qemu-arg", wrong, "a word of QEMU's command line, such as --qemu-arg=-device");
}
