import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type FakePciDevice, FakeSystem } from "@vfio-selftests/core/testing";
import { type LabHost, thisHost } from "@vfio-selftests/lab";
import type { Machine } from "../machine/machine";
import { readMachine } from "../machine/read-machine";

const KERNEL = "7.3.4-example";

/** A PCI device bound to vfio-pci, alone in its group. */
export const BOUND: FakePciDevice = { address: "0000:01:00.0", driver: "vfio-pci", group: 1 };

const ALL_MODULES = ["vfio-pci", "vfio-iommu-type1", "iommufd"]
  .map((name) => `kernel/drivers/${name}.ko.zst:`)
  .join("\n");

/** Programs that the lab's set-up runs. */
const LAB_PROGRAMS = [
  ...["qemu-system-x86_64", "virtiofsd"],
  ...["ar", "bc", "bison", "flex", "gcc", "ld", "make", "perl", "tar", "xz"],
];

/** A server on which everything is in order, for a test to change one thing. */
export class FakeMachine extends FakeSystem {
  readonly host: LabHost;

  constructor(...devices: readonly FakePciDevice[]) {
    super();
    for (const device of devices) this.pci(device);
    this.host = {
      ...thisHost(),
      root: this.root,
      uid: 1000,
      architecture: "x64",
      env: { PATH: join(this.root, "usr/bin"), HOME: join(this.root, "home") },
    };
    const texts: Readonly<Record<string, string>> = {
      "proc/sys/kernel/osrelease": `${KERNEL}\n`,
      "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro intel_iommu=on\n",
      "proc/cpuinfo":
        "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx ssse3\naddress sizes\t: 46 bits physical, 48 bits virtual\n",
      "proc/interrupts": "           CPU0\n  0:  9  IR-IO-APIC  2-edge  timer\n 24:  1  IR-PCI-MSI-0000:00:1f.2\n",
      "proc/misc": "258 iommu\n196 vfio\n",
      "proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n",
      "proc/self/limits": "Limit  Soft Limit  Hard Limit  Units\nMax locked memory  unlimited  unlimited  bytes\n",
      "proc/self/status": "Name:\tnode\nCapEff:\t0000000000000000\n",
      "proc/self/mountinfo": "22 27 0:21 / /sys rw,relatime - sysfs sysfs rw\n27 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
      "sys/firmware/acpi/tables/DMAR": "",
      "sys/class/iommu/dmar0/intel-iommu/cap": "d2008c222f0686\n",
      "sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
      "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts": "N\n",
      "sys/module/iommufd/parameters/allow_unsafe_interrupts": "N\n",
      [`lib/modules/${KERNEL}/modules.dep`]: ALL_MODULES,
      [`lib/modules/${KERNEL}/modules.builtin`]: "",
      "usr/sbin/update-grub": "",
      "dev/vfio/vfio": "",
      "dev/vfio/1": "",
      "dev/iommu": "",
      "dev/kvm": "",
      "usr/include/gelf.h": "",
      "etc/ssl/certs/ca-certificates.crt": "",
    };
    for (const [path, text] of Object.entries(texts)) this.file(path, text);
    this.link("proc/self/ns/pid", "proc/pid:[4026531836]");
    this.directory("sys/kernel/iommu_groups/1/devices");
    this.driver("vfio-pci");
    for (const size of [2048, 1048576]) this.hugePages(size, 4);
    for (const name of [...LAB_PROGRAMS, "apt-get"]) this.program(`usr/bin/${name}`);
  }

  program(path: string): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, "", { mode: 0o755 });
  }

  /** Pages of `size` KiB. */
  hugePages(size: number, count: number): void {
    const folder = `sys/kernel/mm/hugepages/hugepages-${size}kB`;
    this.file(`${folder}/nr_hugepages`, `${count}\n`);
    this.file(`${folder}/free_hugepages`, `${count}\n`);
    this.file(`${folder}/resv_hugepages`, "0\n");
  }

  describe(named?: string, memoryMiB = 1026): Machine {
    return readMachine({
      named,
      memoryPerDevice: memoryMiB * 2 ** 20,
      drivers: [],
      host: this.host,
      paths: this.paths,
    });
  }
}
