import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asCalled } from "@vfio-selftests/core/errors";
import type { FakePciDevice } from "@vfio-selftests/core/testing";
import type { Finding, Severity } from "./check";
import { CHECKS } from "./checks/table";
import { diagnose } from "./diagnosis";
import { diagnosisLines } from "./diagnosis-lines";
import { examineMachine } from "./examine-machine";
import type { Machine } from "./machine/machine";
import { BOUND, FakeMachine } from "./testing/fake-machine";

const ADDRESS = BOUND.address;
const NIC = { address: "0000:01:00.1", driver: "e1000e", group: 1 } as const;

interface Case {
  /** What is wrong, as a person would report it. */
  readonly report: string;
  readonly devices?: readonly FakePciDevice[];
  readonly break: (machine: FakeMachine) => void;
  /** What the tests' process cannot make on disk. */
  readonly change?: (machine: Machine) => Machine;
  readonly named?: string;
  readonly memoryMiB?: number;
  readonly id: string;
  readonly severity: Severity;
  readonly text: string | RegExp;
  readonly commands: readonly string[];
}

const remove = (machine: FakeMachine, ...paths: readonly string[]) => {
  for (const path of paths) rmSync(join(machine.root, path), { recursive: true, force: true });
};
const cmdline = (machine: FakeMachine, ...parameters: readonly string[]) =>
  machine.file("proc/cmdline", `ro ${parameters.join(" ")}\n`);
const noIommu = (machine: FakeMachine) => remove(machine, "sys/kernel/iommu_groups", "sys/class/iommu");

const distribution = (machine: FakeMachine, release: string) => machine.file("etc/os-release", `${release}\n`);

const CASES: readonly Case[] = [
  {
    report: "the group is not viable",
    devices: [BOUND, NIC],
    break: () => undefined,
    id: "devices",
    severity: "blocks",
    text: `${ADDRESS}: its IOMMU group 1 is not viable because of 0000:01:00.1 (e1000e)`,
    commands: ["sudo vfio-selftests bind 0000:01:00.1"],
  },
  {
    report: "the device is bound elsewhere, and so is its neighbour",
    devices: [{ ...BOUND, driver: "igb" }, NIC],
    break: () => undefined,
    named: ADDRESS,
    id: "devices",
    severity: "blocks",
    text: `${ADDRESS}: it is bound to igb; its group is not viable because of 0000:01:00.1`,
    commands: [`sudo vfio-selftests bind ${ADDRESS} 0000:01:00.1`],
  },
  {
    report: "no device is bound",
    devices: [NIC],
    break: () => undefined,
    id: "devices",
    severity: "blocks",
    text: "no device is bound to vfio-pci",
    commands: ["vfio-selftests list", "sudo vfio-selftests bind 0000:01:00.1"],
  },
  {
    report: "one of two devices is unusable",
    devices: [BOUND, { address: "0000:02:00.0", driver: "vfio-pci" }],
    break: () => undefined,
    id: "devices",
    severity: "limits",
    text: "0000:02:00.0: it is in no IOMMU group",
    commands: [],
  },
  {
    report: "the IOMMU is off on the command line",
    break: (machine) => {
      noIommu(machine);
      cmdline(machine, "intel_iommu=off");
    },
    id: "iommu",
    severity: "blocks",
    text: "the kernel's parameter intel_iommu=off switches the IOMMU off",
    commands: ["sudo sed -i 's/ *intel_iommu=off//' /etc/default/grub && sudo update-grub", "sudo reboot"],
  },
  {
    report: "the kernel does not use the IOMMU of the firmware",
    break: (machine) => {
      noIommu(machine);
      cmdline(machine);
      remove(machine, "usr/sbin/update-grub");
      machine.file("usr/sbin/grubby");
    },
    id: "iommu",
    severity: "blocks",
    text: "the firmware offers an IOMMU (DMAR), but the kernel does not use it",
    commands: ["sudo grubby --update-kernel=ALL --args=intel_iommu=on", "sudo reboot"],
  },
  {
    report: "the IOMMU is off in the firmware",
    break: (machine) => {
      noIommu(machine);
      remove(machine, "sys/firmware/acpi/tables/DMAR");
      machine.file("sys/firmware/acpi/tables/FACP");
    },
    id: "iommu",
    severity: "blocks",
    text: /the firmware offers no IOMMU/,
    commands: ["sudo systemctl reboot --firmware-setup", "vfio-selftests lab run"],
  },
  {
    report: "a VM without an IOMMU",
    break: (machine) => {
      noIommu(machine);
      remove(machine, "sys/firmware/acpi/tables/DMAR");
      machine.file("sys/firmware/acpi/tables/FACP");
      machine.file("proc/cpuinfo", "vendor_id : AuthenticAMD\nflags : fpu svm hypervisor\n");
    },
    id: "iommu",
    severity: "blocks",
    text: /this VM has no IOMMU/,
    commands: ["vfio-selftests lab run"],
  },
  {
    report: "no interrupt remapping",
    break: (machine) => machine.file("proc/interrupts", "  0:  9  IO-APIC  2-edge  timer\n"),
    id: "interrupt-remapping",
    severity: "blocks",
    text: "no interrupt remapping: vfio_iommu_type1 and iommufd refuse devices (EPERM)",
    commands: [
      "echo Y | sudo tee /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
      "echo Y | sudo tee /sys/module/iommufd/parameters/allow_unsafe_interrupts",
    ],
  },
  {
    report: "no interrupt remapping, which type 1 alone accepts",
    break: (machine) => {
      machine.file("proc/interrupts", "  0:  9  IO-APIC  2-edge  timer\n");
      machine.file("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
      remove(machine, "sys/module/iommufd");
    },
    id: "interrupt-remapping",
    severity: "limits",
    text: "no interrupt remapping: iommufd refuses devices (EPERM)",
    commands: ["sudo modprobe iommufd allow_unsafe_interrupts=1"],
  },
  {
    report: "a module is not loaded",
    break: (machine) => remove(machine, "sys/bus/pci/drivers/vfio-pci"),
    id: "modules",
    severity: "blocks",
    text: "vfio-pci is not loaded: no device can be given to user space",
    commands: ["sudo modprobe vfio-pci"],
  },
  {
    report: "EFAULT for BAR addresses under iommufd",
    break: (machine) => {
      remove(machine, "sys/module/vfio_iommu_type1");
      machine.file("lib/modules/7.3.4-example/modules.dep", "kernel/drivers/vfio-pci.ko:\n");
    },
    id: "modules",
    severity: "limits",
    text: /the kernel 7\.3\.4-example has no vfio_iommu_type1: .*EFAULT/,
    commands: [],
  },
  {
    report: "the kernel was updated since the boot",
    break: (machine) => remove(machine, "lib/modules", "sys/bus/pci/drivers/vfio-pci"),
    id: "modules",
    severity: "blocks",
    text: /^vfio-pci is not loaded/,
    commands: ["vfio-selftests lab run"],
  },
  {
    report: "a container without /dev/vfio",
    break: (machine) => {
      machine.file(".dockerenv");
      machine.link("proc/self/ns/pid", "proc/pid:[4026532000]");
      remove(machine, "dev/vfio", "dev/iommu");
    },
    id: "container",
    severity: "blocks",
    text: /this is a container \(docker\) without \/dev\/vfio/,
    commands: [
      "docker run --device /dev/vfio/vfio --device /dev/vfio/1 --device /dev/iommu --ulimit memlock=-1 -v /sys:/sys …",
    ],
  },
  {
    report: "read-only sysfs in a container",
    break: (machine) => {
      machine.file("run/.containerenv");
      machine.link("proc/self/ns/pid", "proc/pid:[4026532000]");
      machine.file("proc/self/mountinfo", "2 1 0:5 / /sys ro - sysfs sysfs ro\n");
    },
    id: "sysfs",
    severity: "limits",
    text: /^\/sys is read-only/,
    commands: ["podman run -v /sys:/sys …"],
  },
  {
    report: "an ordinary user may not open the group",
    break: () => undefined,
    change: (machine) => ({ ...machine, files: { ...machine.files, "/dev/vfio/1": "denied" } }),
    id: "device-files",
    severity: "blocks",
    text: "this user may not open /dev/vfio/1",
    commands: ['sudo chown "$USER" /dev/vfio/1'],
  },
  {
    report: "ENOMEM with two devices and a vIOMMU",
    devices: [BOUND, { address: "0000:02:00.0", driver: "vfio-pci", group: 2 }],
    break: (machine) => machine.file("proc/self/limits", "Max locked memory  17179869184  unlimited  bytes\n"),
    memoryMiB: 16384,
    id: "locked-memory",
    severity: "limits",
    text: /may lock 16 GiB, and 2 devices × 16 GiB need 32 GiB: mapping memory fails with ENOMEM/,
    commands: ["ulimit -l 33554432"],
  },
  {
    report: "the limit cannot be raised by the user",
    break: (machine) => machine.file("proc/self/limits", "Max locked memory  8388608  8388608  bytes\n"),
    id: "locked-memory",
    severity: "limits",
    text: /may lock 8 MiB, and 1 device × 1026 MiB need 1026 MiB/,
    commands: [
      "sudo prlimit --pid $$ --memlock=unlimited",
      'echo "$USER - memlock 1050624" | sudo tee /etc/security/limits.d/vfio.conf',
    ],
  },
  {
    report: "no huge page is left",
    break: (machine) => machine.hugePages(1048576, 0),
    id: "huge-pages",
    severity: "limits",
    text: "no huge page of 1 GiB is free: its tests skip",
    commands: ["echo 1 | sudo tee /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"],
  },
  {
    report: "config space reads 0xff after a reset",
    break: (machine) => {
      writeFileSync(join(machine.root, `sys/devices/pci0000:00/${ADDRESS}/config`), new Uint8Array(64).fill(0xff));
    },
    id: "device-lost",
    severity: "blocks",
    text: new RegExp(`^${ADDRESS} does not answer`),
    commands: [
      `echo ${ADDRESS} | sudo tee /sys/bus/pci/devices/${ADDRESS}/driver/unbind`,
      `echo 1 | sudo tee /sys/bus/pci/devices/${ADDRESS}/remove`,
      "echo 1 | sudo tee /sys/bus/pci/rescan",
    ],
  },
  {
    report: "a group of several slots, without ACS",
    devices: [BOUND, { address: "0000:02:00.0", driver: "vfio-pci", group: 1 }],
    break: () => undefined,
    id: "acs",
    severity: "note",
    text: /^group 1 holds 0000:01:00\.0, 0000:02:00\.0: no bridge/,
    commands: ["sudo lspci -vvv | grep -E '^[0-9a-f]|Access Control|ACSCtl'"],
  },
  {
    report: "a BAR beyond a 39-bit IOMMU",
    break: (machine) => machine.file("sys/class/iommu/dmar0/intel-iommu/cap", "1c0000c40260462\n"),
    id: "address-width",
    severity: "note",
    text: /^the IOMMU reaches 39 bits, the CPU 46/,
    commands: [],
  },
  {
    report: "iommu=pt",
    break: (machine) => cmdline(machine, "intel_iommu=on", "iommu=pt"),
    id: "passthrough",
    severity: "note",
    text: /^iommu=pt: .*Devices of VFIO are translated all the same/,
    commands: ["sudo sed -i 's/ *iommu=pt//' /etc/default/grub && sudo update-grub", "sudo reboot"],
  },
  {
    report: "lockdown by Secure Boot",
    break: (machine) => {
      machine.file("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
      machine.file("sys/firmware/efi/efivars/SecureBoot-8be4df61", "\x06\0\0\0\x01");
    },
    id: "lockdown",
    severity: "note",
    text: /^the kernel is locked down \(integrity\)/,
    commands: ["sudo systemctl reboot --firmware-setup"],
  },
  {
    report: "SELinux confines a container",
    break: (machine) => {
      machine.file("run/.containerenv");
      machine.link("proc/self/ns/pid", "proc/pid:[4026532000]");
      machine.file("sys/fs/selinux/enforce", "1");
      machine.file("proc/self/attr/current", "system_u:system_r:container_t:s0:c1,c2\0");
    },
    id: "security-module",
    severity: "note",
    text: /^SELinux confines this process \(container_t\)/,
    commands: ["sudo ausearch -m avc -ts recent", "podman run --security-opt label=disable …"],
  },
  {
    report: "AppArmor confines the process",
    break: (machine) => {
      machine.file("sys/module/apparmor/parameters/enabled", "Y\n");
      machine.file("proc/self/attr/apparmor/current", "node-profile (enforce)\n");
    },
    id: "security-module",
    severity: "note",
    text: /^AppArmor confines this process \(node-profile\)/,
    commands: ["sudo dmesg | grep 'apparmor=\"DENIED\"'"],
  },
  {
    report: "a KVM that may start no kernel",
    break: (machine) =>
      machine.file(
        "proc/cpuinfo",
        "vendor_id : GenuineIntel\nflags : fpu hypervisor\naddress sizes : 46 bits physical\n",
      ),
    id: "kvm",
    severity: "note",
    text: /neither VMX nor SVM/,
    commands: [],
  },
  {
    report: "KVM is not loaded",
    break: (machine) => remove(machine, "dev/kvm"),
    id: "kvm",
    severity: "note",
    text: /^KVM is not loaded/,
    commands: ["sudo modprobe kvm_intel"],
  },
  {
    report: "neither QEMU nor apt",
    break: (machine) => remove(machine, "usr/bin"),
    id: "lab",
    severity: "blocks",
    text: /^qemu-system-x86_64 and virtiofsd not found\. The lab takes the system's own, QEMU 8\.0 or newer/,
    commands: ["vfio-selftests lab setup"],
  },
  {
    report: "nothing for the lab on Ubuntu, whose apt fetches QEMU",
    break: (machine) => {
      remove(machine, "usr/bin", "usr/include");
      distribution(machine, "ID=ubuntu\nID_LIKE=debian");
      machine.program("usr/bin/apt-get");
    },
    id: "lab",
    severity: "blocks",
    text: /^QEMU and a kernel are not prepared yet, .* packages that are missing/,
    commands: [
      "sudo apt-get install --no-install-recommends mmdebstrap binutils tar xz-utils make flex bison bc perl libelf-dev gcc",
      "vfio-selftests lab setup",
    ],
  },
  {
    report: "nothing for the lab on Fedora",
    break: (machine) => {
      remove(machine, "usr/bin", "usr/include");
      distribution(machine, "ID=fedora");
    },
    id: "lab",
    severity: "blocks",
    text: /^qemu-system-x86_64 and virtiofsd not found/,
    commands: [
      "sudo dnf install qemu-system-x86-core virtiofsd binutils tar xz make flex bison bc perl elfutils-libelf-devel gcc curl /usr/bin/gpgv",
      "vfio-selftests lab setup",
    ],
  },
  {
    report: "QEMU but no compiler on Arch",
    break: (machine) => {
      remove(machine, "usr/bin/gcc", "usr/bin/apt-get", "usr/include");
      distribution(machine, "ID=arch");
    },
    id: "lab",
    severity: "blocks",
    text: /^QEMU and a kernel are not prepared yet, .* packages that are missing/,
    commands: ["sudo pacman -S --needed libelf gcc curl gnupg", "vfio-selftests lab setup"],
  },
  {
    report: "QEMU without virtiofsd on NixOS",
    break: (machine) => {
      remove(machine, "usr/bin/virtiofsd", "usr/bin/apt-get");
      distribution(machine, 'ID="nixos"');
    },
    id: "lab",
    severity: "blocks",
    text: /^virtiofsd not found/,
    commands: ["nix-shell -p virtiofsd curl gnupg", "vfio-selftests lab setup"],
  },
  {
    report: "little memory for the VM",
    break: (machine) => machine.file("proc/meminfo", "MemAvailable: 4194304 kB\n"),
    id: "lab-memory",
    severity: "limits",
    text: /^4096 MiB of memory are free, and a VM has 6144/,
    commands: ["vfio-selftests lab run --memory 3072"],
  },
];

function findingsOf(machine: Machine): (Finding & { id: string })[] {
  return [...diagnose(machine).findings];
}

describe("each check finds what is wrong, and the command that mends it", () => {
  it.each(CASES)("$report", ({ devices = [BOUND], break: harm, change, named, memoryMiB, ...expected }) => {
    using machine = new FakeMachine(...devices);
    harm(machine);
    const description = machine.describe(named, memoryMiB);
    const found = findingsOf(change?.(description) ?? description).filter(({ id }) => id === expected.id);
    expect(found.map(({ text }) => text)).toEqual([
      typeof expected.text === "string" ? expected.text : (expect.stringMatching(expected.text) as string),
    ]);
    expect(found).toMatchObject([{ severity: expected.severity, commands: expected.commands }]);
  });

  it("has such a case for every check", () => {
    expect(new Set(CASES.map(({ id }) => id))).toEqual(new Set(CHECKS.map(({ id }) => id)));
  });
});

it("finds nothing where all is in order but the lab's first set-up", () => {
  using machine = new FakeMachine(BOUND);
  expect(findingsOf(machine.describe()).map(({ id }) => id)).toEqual(["lab"]);
  expect(diagnose(machine.describe()).notChecked).toEqual(["container"]);
});

it("does not call in order what it could not look at", () => {
  using machine = new FakeMachine();
  noIommu(machine);
  remove(machine, "proc/interrupts", "sys/kernel/security", "dev/vfio", "dev/iommu");
  const { inOrder, notChecked } = diagnose(machine.describe());
  expect(notChecked).toEqual([
    "container",
    "interrupt remapping",
    "devices",
    "devices answer",
    "rights to device files",
    "groups",
    "IOVA width",
    "translation",
    "lockdown",
  ]);
  expect(inOrder.filter((title) => notChecked.includes(title))).toEqual([]);
});

it("does not count what CAP_IPC_LOCK lifts", () => {
  using machine = new FakeMachine(BOUND);
  machine.file("proc/self/limits", "Max locked memory  8388608  8388608  bytes\n");
  machine.file("proc/self/status", "CapEff:\t0000000000004000\n");
  expect(findingsOf(machine.describe()).map(({ id }) => id)).not.toContain("locked-memory");
});

it("does not take a VM that was made from a container's image for a container", () => {
  using machine = new FakeMachine(BOUND);
  machine.file(".dockerenv");
  expect(machine.describe().confinement.container).toBeUndefined();
});

describe("the command", () => {
  function run(machine: FakeMachine, address?: string, json = false): { code: number; text: string } {
    const lines: string[] = [];
    const log = jest.spyOn(console, "log").mockImplementation((line) => void lines.push(String(line)));
    try {
      return { code: examineMachine(address, { json }, machine.paths, machine.host), text: lines.join("\n") };
    } finally {
      log.mockRestore();
    }
  }

  it("ends with 0 where the suites can run on a device, and prints how", () => {
    using machine = new FakeMachine(BOUND);
    const { code, text } = run(machine);
    expect(code).toBe(0);
    expect(text).toContain(`devices  yes: vfio-selftests run -d ${ADDRESS}`);
  });

  it("ends with 1 where something keeps the named device from the suites", () => {
    using machine = new FakeMachine(BOUND, NIC);
    expect(run(machine, NIC.address)).toMatchObject({
      code: 1,
      text: expect.stringContaining(`no, not on ${NIC.address}`) as string,
    });
    expect(run(machine, ADDRESS).code).toBe(1);
  });

  it("ends with 4 where no device can be tested", () => {
    using machine = new FakeMachine();
    expect(run(machine).code).toBe(4);
  });

  it("refuses an address without a device, with the remedy", () => {
    using machine = new FakeMachine();
    expect(() => run(machine, "0000:7f:00.0")).toThrow(/no PCI device at 0000:7f:00\.0\n.*vfio-selftests list/);
  });

  it("prints JSON with stable ids", () => {
    using machine = new FakeMachine(BOUND, NIC);
    const told = JSON.parse(run(machine, ADDRESS, true).text) as unknown;
    expect(told).toMatchObject({
      runs: { models: true, lab: true, devices: false },
      findings: expect.arrayContaining([expect.objectContaining({ id: "devices", severity: "blocks" })]) as unknown,
    });
  });
});

it("prints findings in 80 columns, and every command whole", () => {
  using machine = new FakeMachine(BOUND);
  const description = machine.describe();
  for (const { devices = [BOUND], break: harm, named, memoryMiB, commands } of CASES) {
    using broken = new FakeMachine(...devices);
    harm(broken);
    const read = broken.describe(named, memoryMiB);
    const lines = diagnosisLines(diagnose(read), read);
    const told = diagnose(read)
      .findings.flatMap((finding) => finding.commands)
      .map((command) => asCalled(command));
    expect(lines).toEqual(expect.arrayContaining(told.map((command) => `      ${command}`)));
    const wide = lines.filter((line) => line.length > 80 && !told.includes(line.trim()));
    expect(wide).toEqual([]);
    expect(commands.every((command) => command.trim() === command)).toBe(true);
  }
  expect(diagnosisLines(diagnose(description), description).join("\n")).toContain("In order: ");
});
