import type { CommandEntry } from "./options/command";

/** Summaries of the groups of two-word commands; the first word is the key. */
export const COMMAND_GROUPS: Readonly<Record<string, string>> = {
  create: "packages of your own",
  farm: "test farms that give out jobs",
  kselftest: "the kernel's own way to run its tests",
  lab: "a VM with a real kernel, IOMMU and devices, on any machine",
  model: "device models in software",
};

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "run",
    summary: "run the test suites",
    load: async () => (await import("./run/command.js")).runCommand,
  },
  {
    name: "list",
    summary: "show PCI devices and whether they can be tested, and the IOMMU modes",
    load: async () => (await import("./list/command.js")).listCommand,
  },
  {
    name: "info",
    summary: "show one device: identity, regions, capabilities, interrupts, and what VFIO and the IOMMU tell of it",
    load: async () => (await import("./info/command.js")).infoCommand,
  },
  {
    name: "repl",
    summary: "open one device and try it out, line by line: registers by name, DMA, interrupts",
    load: async () => (await import("./repl/command.js")).replCommand,
  },
  {
    name: "doctor",
    summary: "tell what this machine can run, why not the rest, and the commands that mend it",
    load: async () => (await import("./doctor/command.js")).doctorCommand,
  },
  {
    name: "bind",
    summary: "give devices to vfio-pci, and remember their drivers",
    load: async () => (await import("./binding/commands.js")).bindCommand,
  },
  {
    name: "unbind",
    summary: "give devices back to the drivers they had",
    load: async () => (await import("./binding/commands.js")).unbindCommand,
  },
  {
    name: "exec",
    summary: "give devices to vfio-pci, run a program on them, and give them back",
    load: async () => (await import("./exec/commands.js")).execCommand,
  },
  {
    name: "shell",
    summary: "give devices to vfio-pci, open a shell, and give them back at its end",
    load: async () => (await import("./exec/commands.js")).shellCommand,
  },
  {
    name: "restore",
    summary: "put back what crashed tests left changed (run and exec do that first, too)",
    load: async () => (await import("./restore/command.js")).restoreCommand,
  },
  {
    name: "lab setup",
    summary: "prepare QEMU and a kernel in the cache (run and shell do it when needed)",
    load: async () => (await import("./lab/commands.js")).labSetupCommand,
  },
  {
    name: "lab run",
    summary: "run the suites in the VM, or with `-- command` that command as the VM's root, on the same files",
    load: async () => (await import("./lab/commands.js")).labRunCommand,
  },
  {
    name: "lab matrix",
    summary: "run the suites on several devices, IOMMUs and kernels, and show in what they differ",
    load: async () => (await import("./lab/commands.js")).labMatrixCommand,
  },
  {
    name: "lab kexec",
    summary: "jump from one kernel into another in the VM, which takes over what the first one preserved (live update)",
    load: async () => (await import("./lab/commands.js")).labKexecCommand,
  },
  {
    name: "lab shell",
    summary: "open a shell in the VM",
    load: async () => (await import("./lab/commands.js")).labShellCommand,
  },
  {
    name: "lab bisect",
    summary: "find the commit of a kernel tree since which a test fails",
    load: async () => (await import("./lab/commands.js")).labBisectCommand,
  },
  {
    name: "lab coverage",
    summary: "show which of the kernel's lines the tests reach: all lines, or those of a patch",
    load: async () => (await import("./lab/commands.js")).labCoverageCommand,
  },
  {
    name: "lab gdb",
    summary: "start a VM that gdb can attach to, and print the command for that",
    load: async () => (await import("./lab/commands.js")).labGdbCommand,
  },
  {
    name: "lab kernel-config",
    summary: "print the kernel options that the lab builds with, for merge_config.sh",
    load: async () => (await import("./lab/commands.js")).labKernelConfigCommand,
  },
  {
    name: "lab mutate",
    summary: "plant faults in the kernel's C code, and list those that no test notices",
    load: async () => (await import("./lab/commands.js")).labMutateCommand,
  },
  {
    name: "upstream",
    summary: "run the kernel's own compiled C selftests, and ours beside them, in one report",
    load: async () => (await import("./upstream/command.js")).upstreamCommand,
  },
  {
    name: "kselftest install",
    summary: "add the suites to an installed kselftest, for `run_kselftest.sh -c vfio-ts`",
    load: async () => (await import("./kselftest/command.js")).kselftestInstallCommand,
  },
  {
    name: "farm kernelci",
    summary: "run KernelCI's jobs in the lab: take one, boot its kernel, send the results, and wait for the next",
    load: async () => (await import("./farm/kernelci/command.js")).farmKernelciCommand,
  },
  {
    name: "report",
    summary: "make one HTML page of JSON reports: matrix, differences, flaky tests, durations, failures, skips",
    load: async () => (await import("./report/commands.js")).reportCommand,
  },
  {
    name: "report merge",
    summary: "make one JSON report of the shards of a run",
    load: async () => (await import("./report/commands.js")).reportMergeCommand,
  },
  {
    name: "report compare",
    summary: "show on the terminal in what JSON reports of the same tests differ",
    load: async () => (await import("./report/commands.js")).reportCompareCommand,
  },
  {
    name: "report kcidb",
    summary: "write the results as KernelCI's database takes them (KCIDB 5.3)",
    load: async () => (await import("./report/commands.js")).reportKcidbCommand,
  },
  {
    name: "model serve",
    summary: "serve a device model by vfio-user, for QEMU's vfio-user-pci or any other client, until interrupted",
    load: async () => (await import("./model/command.js")).modelServeCommand,
  },
  {
    name: "conformance",
    summary: "check a vfio-user server or client against the specification, message by message",
    load: async () => (await import("./conformance/command.js")).conformanceCommand,
  },
  {
    name: "completion",
    summary: "print the script by which a shell completes these commands",
    load: async () => (await import("./completion/command.js")).completionOf(COMMANDS),
  },
  {
    name: "create driver",
    summary: "write a package with a driver, a device model and tests, which pass at once, to start from",
    load: async () => (await import("./create/command.js")).createDriverCommand,
  },
];
