import { scratchDisksOf } from "./devices";
import { GUEST_RUN_FOLDER } from "./guest-programs";
import type { LabMachine } from "./lab-machine";
import type { RunFolder } from "./run-folder";
import type { Share } from "./shares";

export type Accelerator = "kvm" | "tcg";

/** `run`: the command's streams have ports of their own. `shell`: they are one terminal. */
export type GuestMode = "run" | "shell";

/** What one boot adds to the description of the VM. */
export interface Boot {
  /** Path of the image. */
  readonly kernel: string;
  readonly accelerator: Accelerator;
  readonly mode: GuestMode;
  /** The first share is the guest's root. */
  readonly shares: readonly Share[];
  readonly folder: RunFolder;
  /** Where QEMU keeps the kernel's console. */
  readonly consoleLog: string;
  /** Lets gdb attach. With `waits` the CPUs stand still until gdb starts them. */
  readonly debugged?: { readonly waits: boolean } | undefined;
}

/**
 * QEMU's TCG keeps the code that it translated from a page until a CPU or QEMU itself writes there. A write of
 * virtiofsd, another process, does not count. So a program that virtiofsd reads into a page that held code before runs
 * that old code at some addresses, and crashes each time, until the kernel takes the page for something else. This
 * parameter makes the guest's kernel clear each page that it takes, which is a CPU's write. (Without it, up to 20 of 26
 * programs crashed after one that had left code in 32 MiB.)
 */
const CLEAR_NEW_PAGES = "init_on_alloc=1";

/** QEMU's command line, without the program. */
export function qemuArguments(machine: LabMachine, boot: Boot): string[] {
  const { folder } = boot;
  const memory = `${machine.memoryMiB}M`;
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none"],
    // A kernel that panics reboots (panic=-1), and QEMU ends then.
    "-no-reboot",
    ...["-machine", machine.architecture.qemu.machine, "-accel", boot.accelerator],
    ...["-cpu", cpu(machine.architecture.qemu, boot.accelerator)],
    // The socket lies in a folder that only this user may enter, because a debugger is the guest's master.
    ...(boot.debugged === undefined ? [] : ["-gdb", `unix:${escapeComma(folder.file("gdb"))},server=on,wait=off`]),
    ...(boot.debugged?.waits === true ? ["-S"] : []),
    ...["-smp", String(machine.cpus), "-m", memory],
    // virtiofsd and vfio-user devices map the guest's memory.
    ...["-object", `memory-backend-memfd,id=ram,size=${memory},share=on`, "-numa", "node,memdev=ram"],
    ...["-chardev", socket("serial", folder.file("serial"), boot.consoleLog), "-serial", "chardev:serial"],
    ...["-kernel", boot.kernel, "-append", kernelCommandLine(machine, boot)],
    ...(machine.iommu.blockDevices ?? []).flatMap((properties) => ["-blockdev", properties]),
    ...device(...machine.iommu.devices),
    ...boot.shares.flatMap(({ name }) => [
      ...["-chardev", socket(name, folder.file(name))],
      ...device(`vhost-user-fs-pci,chardev=${name},tag=${name}`),
    ]),
    ...(hasDoorToMonitor(machine) ? monitorArguments(machine, folder) : []),
    ...device("virtio-serial-pci"),
    ...streamPorts(boot.mode, machine).flatMap(({ name, model }) => [
      ...["-chardev", socket(name, folder.file(name))],
      ...device(model === "virtconsole" ? `${model},chardev=${name}` : `${model},chardev=${name},name=lab.${name}`),
    ]),
    ...scratchDisksOf(machine.devices).flatMap(({ drive }) => ["-drive", drive]),
    ...machine.devices.flatMap((placed) => device(...placed.device.devices(placed.slot, placed.argument))),
    ...machine.qemuArguments,
  ];
}

function cpu({ cpu: model, slowToEmulate }: LabMachine["architecture"]["qemu"], accelerator: Accelerator): string {
  if (accelerator !== "tcg") return model;
  return [model, ...slowToEmulate.map((feature) => `-${feature}`)].join(",");
}

interface StreamPort {
  readonly name: "stdin" | "stdout" | "stderr" | "terminal" | "monitor" | "control";
  readonly model: "virtserialport" | "virtconsole";
}

/** The virtio ports of a mode. Control is the last: when the guest sees it, all are there. */
export function streamPorts(mode: GuestMode, machine: Pick<LabMachine, "devices">): StreamPort[] {
  const last: StreamPort[] = [
    ...(hasDoorToMonitor(machine) ? [{ name: "monitor", model: "virtserialport" } as const] : []),
    { name: "control", model: "virtserialport" },
  ];
  if (mode === "shell") return [{ name: "terminal", model: "virtconsole" }, ...last];
  return [
    { name: "stdin", model: "virtserialport" },
    { name: "stdout", model: "virtserialport" },
    { name: "stderr", model: "virtserialport" },
    ...last,
  ];
}

/** Whether the guest may ask for what only QEMU's monitor can do. It may where a device is made for that. */
export function hasDoorToMonitor({ devices }: Pick<LabMachine, "devices">): boolean {
  return devices.some(({ device }) => device.pluggable !== undefined);
}

/** QEMU's monitor, and ports whose slots the kernel's own driver serves (pciehp) instead of ACPI. */
function monitorArguments({ architecture }: LabMachine, folder: RunFolder): string[] {
  return [
    ...architecture.qemu.nativeHotplug,
    ...["-chardev", socket("qmp", folder.file("qmp")), "-mon", "chardev=qmp,mode=control"],
  ];
}

function kernelCommandLine(machine: LabMachine, boot: Boot): string {
  const { hugePages } = machine;
  const [root] = boot.shares;
  return [
    // The console shows warnings, too, because after the command's end only the host sees what the kernel prints.
    ...[`console=${machine.architecture.console}`, "loglevel=5", "panic=-1"],
    ...[`root=${root?.name ?? ""}`, "rootfstype=virtiofs", "ro"],
    ...machine.iommu.kernel,
    ...machine.architecture.kernelParameters,
    ...(boot.accelerator === "tcg" ? [CLEAR_NEW_PAGES] : []),
    "vfio_pci.enable_sriov=1",
    // Otherwise vfio-pci refuses Intel DSA (8086:0b25) because of an erratum, which a model does not have.
    "vfio_pci.disable_denylist=1",
    ...["hugepagesz=1G", `hugepages=${hugePages.gib1}`, "hugepagesz=2M", `hugepages=${hugePages.mib2}`],
    ...machine.kernelParameters,
    // The kernel gives unknown parameters to init as its environment, and what follows "--" as its arguments.
    ...init(boot),
  ].join(" ");
}

/** The guest reads the run's folder from the host's tree where that is its root, or else mounts it first. */
function init({ shares, folder }: Boot): string[] {
  if (!shares.some(({ name }) => name === "run")) {
    return [`LAB_RUN=${folder.path}`, "init=/bin/sh", "--", folder.file("init.sh")];
  }
  const script = `mount -n -t virtiofs run ${GUEST_RUN_FOLDER} && exec sh ${GUEST_RUN_FOLDER}/init.sh`;
  return [`LAB_RUN=${GUEST_RUN_FOLDER}`, "init=/bin/sh", "--", "-c", `"${script}"`];
}

function device(...devices: readonly string[]): string[] {
  return devices.flatMap((properties) => ["-device", properties]);
}

/** Properties of a character device that connects to our socket. QEMU wants commas in values doubled. */
function socket(id: string, path: string, logFile?: string): string {
  const log = logFile === undefined ? "" : `,logfile=${escapeComma(logFile)}`;
  return `socket,id=${id},path=${escapeComma(path)}${log}`;
}

function escapeComma(value: string): string {
  return value.replaceAll(",", ",,");
}
