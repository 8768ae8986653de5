import {
  DEFAULT_ARCHITECTURE,
  deviceUsage,
  KERNEL_VARIANTS,
  LAB_ARCHITECTURES,
  LAB_DEFAULTS,
  LAB_DEVICES,
  LAB_LIMITS,
  type LabArchitecture,
  type LabMachineOptions,
} from "@vfio-selftests/lab";
import { choice, count, flag, list, type OptionTable, pattern, text, words } from "../options/option";
import { SUITE_OPTIONS } from "../run/options";
import type { SuiteOptions } from "../run/run-options";
import type { KernelOptions } from "./kernel-choice";

export interface ConsentOptions {
  /** Whether the set-up may install missing packages without a question. */
  readonly yes?: boolean;
}

export interface SetupOptions extends ConsentOptions, KernelOptions {
  readonly arch?: LabArchitecture["name"];
  readonly anyConfig?: boolean;
  readonly qemu?: "auto" | "system" | "root";
  readonly force?: boolean;
}

/** The options that describe a VM, and those for what a command does around it. */
export interface MachineOptions
  extends Omit<LabMachineOptions, "hugePages" | "kernel" | "slowdown">, KernelOptions, ConsentOptions {
  readonly console?: boolean;
}

export interface GdbOptions extends MachineOptions {
  /** The CPUs do not run until gdb continues them. */
  readonly wait?: boolean;
}

export interface KernelConfigOptions extends Pick<KernelOptions, "with"> {
  /** A configuration, or a kernel's image or folder that leads to it. */
  readonly missingFrom?: string;
}

export interface LabRunOptions extends MachineOptions, SuiteOptions {
  readonly jobs?: number;
  readonly coverage?: boolean;
  /** A commit. Only the tests run that reach the kernel tree's changes since then. */
  readonly changed?: string;
  readonly timeoutMs?: number;
}

const WEEK_S = 7 * 24 * 3600;
const VARIANTS = KERNEL_VARIANTS.map(({ name }) => name).join(", ");
const ARCHITECTURES = LAB_ARCHITECTURES.map(({ name }) => name);
const IOMMUS = [...new Set(LAB_ARCHITECTURES.flatMap(({ iommus }) => iommus.map(({ name }) => name)))];
const arch = choice("--arch <name>", `the CPU of the VM (default: ${DEFAULT_ARCHITECTURE.name})`, ARCHITECTURES);
const anyConfig = flag(
  "--any-config",
  "take the kernel of --kernel even if its configuration lacks what the lab needs",
);
const yes = flag("--yes", "as root, install Debian packages that are missing, without asking");

export const SETUP_OPTIONS: OptionTable<SetupOptions> = {
  arch,
  kernel: text("--kernel <image>", "use this kernel image, or that of this built kernel tree, instead of building one"),
  anyConfig,
  with: list("--with <variant...>", `build a kernel that finds bugs, beside the lab's own: ${VARIANTS}`),
  source: text("--source <tree>", "build from this kernel tree, beside the lab's own; the tree is not changed"),
  qemu: choice("--qemu <which>", "where QEMU comes from (default: auto); root is a Debian root with a new one", [
    "auto",
    "system",
    "root",
  ]),
  force: flag("--force", "prepare everything anew"),
  yes,
};

export const MACHINE_OPTIONS: OptionTable<MachineOptions> = {
  arch,
  devices: list("-d, --device <lab-device...>", `devices of the VM: ${describeDevices()}; NAME*COUNT for several`),
  iommu: choice("--iommu <name>", `the VM's IOMMU (default: ${describeIommus()})`, IOMMUS),
  kernel: text("--kernel <image>", "boot this kernel image, or that of this built kernel tree or `make O=` folder"),
  anyConfig,
  with: list("--with <variant...>", "boot the kernel that `lab setup --with` built of these"),
  source: text("--source <tree>", "boot the kernel that `lab setup --source` built of this tree"),
  modules: text(
    "--modules <folder>",
    "load the kernel's modules from this folder of `make modules_install INSTALL_MOD_PATH=FOLDER`",
  ),
  memoryMiB: count("--memory <MiB>", `memory of the VM (default: ${LAB_DEFAULTS.memoryMiB})`, LAB_LIMITS.memoryMiB),
  cpus: count("--cpus <number>", `CPUs of the VM (default: ${LAB_DEFAULTS.cpus})`, LAB_LIMITS.cpus),
  writable: words("--rw <folder...>", "folders that the VM may write to, beside the current one"),
  kernelParameters: words("--append <parameter...>", "more kernel parameters"),
  qemuArguments: words(
    "--qemu-arg <argument...>",
    "more words for QEMU's command line, each with its own --qemu-arg=: --qemu-arg=-device --qemu-arg=pci-testdev",
  ),
  bootTimeoutMs: count(
    "--boot-timeout <seconds>",
    `how long the VM may take to boot (default: ${LAB_DEFAULTS.bootTimeoutMs / 1000})`,
    { least: 1, most: LAB_LIMITS.bootTimeoutMs.most / 1000, unit: 1000 },
  ),
  console: flag("--console", "show the kernel's console"),
  yes,
};

export const GDB_OPTIONS: OptionTable<GdbOptions> = {
  wait: flag("--wait", "the VM does not start before gdb says `continue`"),
  ...MACHINE_OPTIONS,
};

export const KERNEL_CONFIG_OPTIONS: OptionTable<KernelConfigOptions> = {
  with: list("--with <variant...>", `add the options of these: ${VARIANTS}`),
  missingFrom: text(
    "--missing-from <path>",
    "only what this .config lacks, or that of this kernel tree, `make O=` folder or image",
  ),
};

export interface CoverageOptions extends Pick<KernelOptions, "with" | "source"> {
  readonly changed?: string;
  readonly functions?: string;
}

export const COVERAGE_OPTIONS: OptionTable<CoverageOptions> = {
  changed: text(
    "--changed <commit>",
    "show which tests reach the lines that the kernel tree has and this commit does not have",
  ),
  functions: pattern("--functions <pattern>", "by function, in the files whose path matches this regular expression"),
  with: list("--with <variant...>", "show the kernel that `lab setup --with` built of these (default: gcov)"),
  source: text("--source <tree>", "show the kernel of this tree (default with --changed: the current folder)"),
};

export const LAB_RUN_OPTIONS: OptionTable<LabRunOptions> = {
  ...MACHINE_OPTIONS,
  jobs: count(
    "--jobs <number>",
    "deal the tests to this many VMs at once (default: by CPUs, memory and how long the tests took last time)",
    LAB_LIMITS.jobs,
  ),
  coverage: flag("--coverage", "measure which of the kernel's lines each test reaches, on a kernel of --with gcov"),
  changed: text(
    "--changed <commit>",
    "only the tests that reach what the kernel tree has changed since, and new ones (default kernel: --source . --with gcov)",
  ),
  timeoutMs: count("--timeout <seconds>", "end the command after this time", { least: 1, most: WEEK_S, unit: 1000 }),
  ...SUITE_OPTIONS,
};

/** `intel; with --arch arm64: smmuv3, virtio or none`. The help lists the choices of all architectures. */
function describeIommus(): string {
  const [first] = DEFAULT_ARCHITECTURE.iommus;
  const others = LAB_ARCHITECTURES.filter((architecture) => architecture !== DEFAULT_ARCHITECTURE);
  return [first.name, ...others.map(({ name, iommus }) => `with --arch ${name} ${iommus[0].name}`)].join("; ");
}

/** `igb (default), edu, …, vfio-user:SOCKET, model:NAME`. */
function describeDevices(): string {
  const defaults: readonly string[] = LAB_DEFAULTS.devices;
  const names = LAB_DEVICES.map((device) => {
    if (device.argument !== undefined) return `${device.name}:${device.argument.toUpperCase()}`;
    return defaults.includes(device.name) ? `${deviceUsage(device)} (default)` : deviceUsage(device);
  });
  return [
    ...names,
    "model:NAME (a device model: ioat, dsa, nv-falcon, capabilities, or a path or package of your own)",
  ].join(", ");
}
