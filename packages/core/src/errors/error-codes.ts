import type { ErrnoName } from "./errno";

/** The meaning of one of our own codes, for docs/errors.md. */
interface CodeMeaning {
  /** What happened: one or two sentences. */
  readonly meaning: string;
  /** What the user can do. */
  readonly remedy: string;
}

/**
 * Our codes, of all packages. A code means one thing everywhere. Where a system call failed, `VfioError.code` is the
 * name of an errno instead. `pnpm error-page` makes docs/errors.md from this table.
 */
export const ERROR_CODES = {
  ERR_BAD_CAPABILITY_CHAIN: {
    meaning: "An info ioctl of the kernel, or a vfio-user server, told capabilities whose links leave the answer.",
    remedy: "Report it to the kernel's or the server's maintainers: no correct one does so.",
  },
  ERR_BIND: {
    meaning: "The kernel did not give the device to the driver that was asked for.",
    remedy: "Read the driver's reason in the kernel log (`dmesg`).",
  },
  ERR_BRIDGE: {
    meaning: "The device is a PCI bridge. vfio-pci takes functions with a type 0 header only.",
    remedy: "Bind the devices behind the bridge. The bridge may keep its driver.",
  },
  ERR_CLOSED: {
    meaning: "A handle, or the object that owns it, was closed before this call.",
    remedy: "Keep the owner open for as long as its children are used. With `using`, declare the owner first.",
  },
  ERR_CLOSE_FAILED: {
    meaning:
      "Several steps of a close failed, none of them with a code of its own. Every step was taken; `cause` has all errors.",
    remedy: "Read the errors in `cause`.",
  },
  ERR_DRIVER_NOT_FOUND: {
    meaning: "No package or file answers to the driver's name.",
    remedy: "Install the package, or build it where it is a workspace package. A path begins with `./`.",
  },
  ERR_DRIVER_NOT_LOADED: {
    meaning: "The driver's module threw while it was loaded. The message has its reason.",
    remedy: "Correct the module.",
  },
  ERR_GROUP_NOT_VIABLE: {
    meaning: "Another device of the IOMMU group is bound to a kernel driver. The message names it.",
    remedy: "Bind every device of the group to vfio-pci or to no driver.",
  },
  ERR_GUEST: {
    meaning: "The KVM guest of an interrupt test did not do what its program says.",
    remedy: "Run the test again on a quiet machine. If it repeats, report it with the message.",
  },
  ERR_IN_USE: {
    meaning: "The machine, or a process, uses the device. The message says what for.",
    remedy: "Choose another device. `vfio-selftests bind --force` takes it all the same.",
  },
  ERR_INVALID_ARGUMENT: {
    meaning: "An argument is not allowed. The message names the value and what is allowed.",
    remedy: "Correct the call.",
  },
  ERR_INVALID_CONFIG: {
    meaning: "A configuration file, or a package.json on the way to a driver, cannot be read or has wrong contents.",
    remedy: "Correct the file that the message names.",
  },
  ERR_INVALID_DRIVER: {
    meaning: "A driver does not keep the driver contract. The message names the member that is wrong.",
    remedy: "Correct the driver.",
  },
  ERR_INVALID_REPORT: {
    meaning:
      "A file is no report, benchmark's file or coverage that this version reads whole: it is cut off, of another version, or has fields that this version does not know.",
    remedy:
      "Give the file as `--reporter json --output FILE`, `pnpm bench` or `lab run --coverage` wrote it, and read it with the version that wrote it.",
  },
  ERR_INVALID_STATE: {
    meaning: "The call does not fit the state: a wait without a start, or a start during a copy.",
    remedy: "Call in the order that the contract gives.",
  },
  ERR_KERNELCI_API: {
    meaning: "KernelCI's API is away, refused what was asked, or gave an answer that is none of its own.",
    remedy: "Check the address, the network and the token in KERNELCI_API_TOKEN.",
  },
  ERR_KERNELCI_JOB: {
    meaning: "A job of KernelCI's asks for what this lab does not do, or is malformed. The message names the field.",
    remedy: "Correct the job in KernelCI's pipeline.",
  },
  ERR_KVM_VERSION: {
    meaning: "`/dev/kvm` speaks another version of the KVM interface.",
    remedy: "Use a Linux kernel with KVM API version 12: every one since 2.6.22.",
  },
  ERR_LAB_ARCHITECTURE: {
    meaning: "The lab does not run on this machine's architecture.",
    remedy: "Run it on x86_64.",
  },
  ERR_LAB_BOOT: {
    meaning: "The VM did not boot. The message ends with the console's last lines.",
    remedy:
      "Read the console's log in the cache. With a kernel of your own, compare its options with the lab's fragment.",
  },
  ERR_LAB_GUEST_LOST: {
    meaning: "The VM ended, or its kernel panicked or hung, before the command did.",
    remedy: "Read the console's last lines in the message.",
  },
  ERR_LAB_INTERRUPTED: {
    meaning: "A signal ended the set-up.",
    remedy: "Start it again: what was finished is kept.",
  },
  ERR_LAB_KERNEL_CONFIG: {
    meaning: "The kernel's configuration lacks options that the lab needs. The message names them.",
    remedy:
      "Merge the lab's fragment into the configuration: `vfio-selftests lab kernel-config --missing-from` prints what it lacks.",
  },
  ERR_LAB_KERNEL_NOT_BUILT: {
    meaning: "The cache holds no kernel with what `--with` or `--source` asks for.",
    remedy: "Build it: the message has the command.",
  },
  ERR_LAB_KERNEL_TREE: {
    meaning: "The folder of `--source` is no Linux source tree, or something was built inside of it.",
    remedy: "Name the top folder of a tree that is clean (`make mrproper`, or a `git worktree` of it).",
  },
  ERR_LAB_NOT_SET_UP: {
    meaning: "The lab's cache holds no QEMU or no kernel.",
    remedy: "Run `vfio-selftests lab setup`.",
  },
  ERR_LAB_NO_COVERAGE: {
    meaning: "No run has measured the coverage of this kernel.",
    remedy: "Run the tests with `lab run --coverage` first.",
  },
  ERR_LAB_NO_IMAGE: {
    meaning: "The kernel image is not there, or is none.",
    remedy: "Name a bzImage, or the kernel tree or build folder that has one, with `--kernel`.",
  },
  ERR_LAB_NO_KERNEL_SOURCE: {
    meaning: "The package sources offer no kernel source that the lab can build.",
    remedy: "Name a kernel image with `--kernel`.",
  },
  ERR_LAB_NO_MIRROR: {
    meaning: "No mirror of Debian's packages could be reached, or what it serves is not what Debian has signed.",
    remedy:
      "Check the network and the proxy settings, or name a mirror in `VFIO_SELFTESTS_DEBIAN_MIRROR`. With QEMU and a kernel of your own, no mirror is needed.",
  },
  ERR_LAB_NO_QEMU: {
    meaning: "This machine's QEMU cannot serve, and another was not wanted or could not be had.",
    remedy: "Install QEMU 10.1 or newer, or let the set-up unpack one: `lab setup --qemu root`.",
  },
  ERR_LAB_PROGRAM_FAILED: {
    meaning: "A program of the set-up failed. The message has its last lines.",
    remedy: "Correct what it complains of, and start again.",
  },
  ERR_LAB_QEMU_TOO_OLD: {
    meaning: "QEMU or virtiofsd is too old for what was asked. The message names the version needed.",
    remedy: "Let the set-up unpack a newer one: `lab setup --qemu root`.",
  },
  ERR_LAB_TOOLS_MISSING: {
    meaning: "Programs that the set-up needs are not installed.",
    remedy: "Type the command in the message.",
  },
  ERR_MODEL: {
    meaning: "The thread that serves a device model ended with an error. The message has it.",
    remedy: "Correct the model.",
  },
  ERR_MUTANTS_KERNEL: {
    meaning: "The kernel that runs holds no mutants, or others than those that are to be tried; or no test ran on it.",
    remedy: "Build it anew: `vfio-selftests lab mutate --rebuild`.",
  },
  ERR_NOT_ONE_RUN: {
    meaning: "The reports to merge are not shards of one run. The message says in what they differ.",
    remedy: "Merge the reports of one run. `vfio-selftests report` shows several runs on one page.",
  },
  ERR_NOTHING_TO_RUN: {
    meaning: "`--last-failed` found no test that failed in the last run, or no last run.",
    remedy: "Run without `--last-failed`.",
  },
  ERR_NOT_BOUND: {
    meaning: "A function that the test needs is not bound to vfio-pci.",
    remedy: "Bind it: `vfio-selftests bind BDF`.",
  },
  ERR_NOT_ENABLED: {
    meaning: "The interrupt index is not enabled, or not for this vector.",
    remedy: "Enable it first.",
  },
  ERR_NOT_MEMORY: {
    meaning: "A region of device registers has no bytes that JavaScript may touch.",
    remedy: "Use the BAR's accessors.",
  },
  ERR_NOT_SUPPORTED: {
    meaning: "The device, the driver or the mode cannot do this. The message says which and why.",
    remedy: "Ask for the capability first.",
  },
  ERR_NO_ADDON: {
    meaning:
      "No addon of @vfio-selftests/native loads on this machine. That package stands below VfioError: the error is an AggregateError with this code, and has the reasons.",
    remedy: "Install the packages again, with optional dependencies (`npm install --include=optional`).",
  },
  ERR_NO_BASELINE: {
    meaning: "The C program of a benchmark could not be built or run.",
    remedy: "Install a C compiler.",
  },
  ERR_NO_DRIVER: {
    meaning: "No driver, of ours or of the kernel, fits the device.",
    remedy: "Name one with `--driver`, or load the kernel's (`sudo modprobe vfio-pci`).",
  },
  ERR_NO_IOVA: {
    meaning: "The allowed IOVA ranges have no free place of this size and alignment.",
    remedy: "Unmap something, or ask for less alignment.",
  },
  ERR_NO_IOVA_RANGE: {
    meaning: "The kernel told no usable IOVA range for the container.",
    remedy: "Open a device first, or use a kernel from 5.4 on.",
  },
  ERR_NO_MODE: {
    meaning: "No IOMMU mode, or not the one that was named, is available here. The message has the reason of each.",
    remedy: "Follow the remedy in the message, or run in a VM: `vfio-selftests lab run`.",
  },
  ERR_NO_PROGRAM: {
    meaning: "The folder holds no compiled kernel selftest.",
    remedy: "Build them: `make -C tools/testing/selftests TARGETS=vfio`.",
  },
  ERR_SEVERAL_DRIVERS: {
    meaning: "More than one driver claims the device.",
    remedy: "Name one with `--driver`.",
  },
  ERR_SHORT_STRUCT: {
    meaning: "An answer is shorter than the structure that it should hold.",
    remedy: "Report it to the kernel's or the server's maintainers.",
  },
  ERR_STILL_MAPPED: {
    meaning: "Memory, a BAR or an IOVA is still mapped for DMA.",
    remedy: "Unmap its regions first.",
  },
  ERR_UNEXPECTED_EVENT: {
    meaning: "An interrupt came that should not have come.",
    remedy: "Look for another source of the interrupt, and for one left over from before.",
  },
  ERR_VCPU: {
    meaning: "A virtual CPU of a KVM guest ended with an error.",
    remedy: "Read the exit reason in the message.",
  },
} as const satisfies Readonly<Record<`ERR_${string}`, CodeMeaning>>;

/** A code of ours. */
export type OwnErrorCode = keyof typeof ERROR_CODES;

/** What `VfioError.code` may be: a code of ours, an errno's name, or `E<number>` for an errno without a name. */
export type VfioErrorCode = OwnErrorCode | ErrnoName | `E${number}`;
