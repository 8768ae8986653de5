import { LAB_ARCHITECTURES } from "../architecture/architecture";
import { parseIommu } from "./iommus";
import { describeMachine, type LabMachineOptions } from "./lab-machine";
import { type GuestMode, qemuArguments } from "./qemu-arguments";
import type { RunFolder } from "./run-folder";
import { sharesBeside, sharesOf } from "./shares";

const folder: RunFolder = {
  path: "/tmp/vfio-lab-1",
  file: (name) => `/tmp/vfio-lab-1/${name}`,
  [Symbol.dispose]: () => undefined,
};

interface Wanted extends LabMachineOptions {
  readonly accelerator?: "tcg" | "kvm";
  readonly mode?: GuestMode;
}

function build({ accelerator = "tcg", mode = "run", ...options }: Wanted = {}, where: RunFolder = folder): string[] {
  const isHostTree = options.arch === undefined || options.arch === "x86_64";
  const shares = isHostTree ? sharesOf(__dirname, []) : sharesBeside("/cache/guest", where.path, __dirname, [], []);
  const boot = { kernel: "/k/bzImage", accelerator, mode, shares, folder: where, consoleLog: "/c/console.log" };
  return qemuArguments(describeMachine(options), boot);
}

function valuesOf(args: string[], option: string): string[] {
  return args.filter((_value, index) => args[index - 1] === option);
}

const commandLine = (args: string[]): string => valuesOf(args, "-append")[0] ?? "";

test.each(LAB_ARCHITECTURES.flatMap(({ name, iommus }) => iommus.map((iommu) => [name, iommu.name] as const)))(
  "on %s the IOMMU %s comes before all devices, its parameters reach the kernel",
  (arch, name) => {
    const iommus = LAB_ARCHITECTURES.find((architecture) => architecture.name === arch)?.iommus ?? [];
    const iommu = parseIommu(name, iommus);
    const args = build({ arch, iommu: name });
    expect(valuesOf(args, "-device").slice(0, iommu.devices.length)).toEqual(iommu.devices);
    expect(valuesOf(args, "-blockdev")).toEqual(iommu.blockDevices ?? []);
    for (const parameter of iommu.kernel) expect(commandLine(args).split(" ")).toContain(parameter);
  },
);

test("an IOMMU that the architecture does not have is refused with the names of those that it has", () => {
  expect(() => build({ iommu: "smmuv3" })).toThrow(/"smmuv3".*intel, intel-scalable, amd, virtio, none/);
  expect(() => build({ arch: "arm64", iommu: "intel" })).toThrow(/"intel".*smmuv3.*virtio, none/);
});

test("an arm64 VM is QEMU's virt with a GIC that translates messages, an SMMUv3 and a console of Arm's", () => {
  const args = build({ arch: "arm64" });
  expect(valuesOf(args, "-machine")).toEqual([expect.stringMatching(/^virt,.*its=on/)]);
  expect(valuesOf(args, "-device")[0]).toMatch(/^arm-smmuv3,/);
  expect(commandLine(args)).toMatch(/^console=ttyAMA0 /);
  expect(commandLine(args)).not.toMatch(/no_timer_check|intel_iommu/);
});

test("an emulated CPU lacks what is slow to emulate, and only that", () => {
  const cpu = (options: Wanted): string[] => valuesOf(build(options), "-cpu");
  expect(cpu({ accelerator: "tcg" })).toEqual(["max,-erms,-fsrm"]);
  expect(cpu({ accelerator: "kvm" })).toEqual(["max"]);
  expect(cpu({ arch: "arm64", accelerator: "tcg" })).toEqual(["neoverse-n1"]);
});

test("a guest with a tree of its own mounts the run's folder, and starts init from there", () => {
  const args = build({ arch: "arm64" });
  expect(commandLine(args)).toMatch(
    /LAB_RUN=\/lab init=\/bin\/sh -- -c "mount -n -t virtiofs run \/lab && exec sh \/lab\/init.sh"$/,
  );
  expect(valuesOf(args, "-device")).toContain("vhost-user-fs-pci,chardev=run,tag=run");
});

test("guest memory is one shared memfd of the size asked for", () => {
  const args = build({ memoryMiB: 1024 });
  expect(valuesOf(args, "-m")).toEqual(["1024M"]);
  expect(valuesOf(args, "-object")).toEqual(["memory-backend-memfd,id=ram,size=1024M,share=on"]);
  expect(valuesOf(args, "-numa")).toEqual(["node,memdev=ram"]);
});

test("huge pages of both sizes are reserved by the kernel", () => {
  expect(commandLine(build())).toContain("hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=64");
});

test("the root file system is the shared one and init is our script", () => {
  const line = commandLine(build());
  expect(line).toMatch(/root=(\S+) rootfstype=virtiofs ro/);
  expect(
    valuesOf(build(), "-device").some((device) => device.endsWith(`tag=${/root=(\S+)/.exec(line)?.[1] ?? ""}`)),
  ).toBe(true);
  expect(line).toMatch(/LAB_RUN=\/tmp\/vfio-lab-1 init=\/bin\/sh -- \/tmp\/vfio-lab-1\/init\.sh$/);
});

test("the caller's folder is a file system beside the root", () => {
  const shares = valuesOf(build(), "-device").filter((device) => device.startsWith("vhost-user-fs-pci"));
  expect(shares).toEqual(["root", "share0"].map((name) => `vhost-user-fs-pci,chardev=${name},tag=${name}`));
});

test("added kernel parameters come before what is for init", () => {
  expect(commandLine(build({ kernelParameters: ["loglevel=7"] }))).toMatch(/loglevel=7 LAB_RUN=/);
});

test("the caller's words for QEMU come after the lab's, as they are", () => {
  const words = ["-device", "pci-testdev,addr=0x1f", "-device", "edu"];
  expect(build({ qemuArguments: words })).toEqual([...build(), ...words]);
});

test.each(["tcg", "kvm"] as const)(
  "the kernel clears pages where %s could keep code of their former use",
  (accelerator) => {
    const parameters = commandLine(build({ accelerator })).split(" ");
    expect(parameters.includes("init_on_alloc=1")).toBe(accelerator === "tcg");
  },
);

test("output ports come first and control last, because the guest waits for control", () => {
  const ports = valuesOf(build(), "-device").filter((device) => device.startsWith("virtserialport"));
  expect(ports).toEqual(
    ["stdin", "stdout", "stderr", "control"].map((name) => `virtserialport,chardev=${name},name=lab.${name}`),
  );
});

test("a shell has a terminal instead of three streams", () => {
  const devices = valuesOf(build({ mode: "shell" }), "-device");
  expect(devices).toContain("virtconsole,chardev=terminal");
  expect(devices.filter((device) => device.startsWith("virtserialport"))).toHaveLength(1);
});

test("commas in paths are doubled for QEMU", () => {
  const odd: RunFolder = { ...folder, path: "/a,b", file: (name) => `/a,b/${name}` };
  expect(valuesOf(build({}, odd), "-chardev")).toContain("socket,id=control,path=/a,,b/control");
});

test("igb sits behind a root port, which SR-IOV needs", () => {
  const devices = valuesOf(build(), "-device");
  expect(devices).toContain("pcie-root-port,id=port1,chassis=1,slot=1,x-speed=2_5,addr=0x10");
  expect(devices).toContain("igb,bus=port1");
  expect(commandLine(build())).toContain("vfio_pci.enable_sriov=1");
});

test("a device that tests unplug brings QEMU's monitor, and a door to it", () => {
  const args = build({ devices: ["igb-hotplug"] });
  expect(valuesOf(args, "-mon")).toEqual(["chardev=qmp,mode=control"]);
  expect(valuesOf(args, "-chardev")).toContain("socket,id=qmp,path=/tmp/vfio-lab-1/qmp");
  expect(valuesOf(args, "-device")).toContain("igb,id=plug1,bus=port1");
  const ports = valuesOf(args, "-device").filter((device) => device.startsWith("virtserialport"));
  expect(ports.slice(-2)).toEqual([
    "virtserialport,chardev=monitor,name=lab.monitor",
    "virtserialport,chardev=control,name=lab.control",
  ]);
});

test("no other machine has a monitor", () => {
  const args = build({ devices: ["igb", "edu", "edu-group", "edu-bridges"] });
  expect([...valuesOf(args, "-mon"), ...valuesOf(args, "-global")]).toEqual([]);
  expect(args.join(" ")).not.toMatch(/monitor|qmp/);
});
