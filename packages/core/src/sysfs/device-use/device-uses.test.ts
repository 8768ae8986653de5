import { FakeSystem } from "../../testing/fake-system";
import { describeHolders, fileHolders } from "../file-holders";
import { hugePageCounts } from "../huge-pages";
import { deviceUses } from "./device-uses";

const ADDRESS = "0000:01:00.0";

describe("deviceUses", () => {
  let system: FakeSystem;
  let directory: string;
  beforeEach(() => {
    system = new FakeSystem();
    directory = system.pci({ address: ADDRESS, driver: "some" });
  });
  afterEach(() => {
    system[Symbol.dispose]();
  });

  const uses = () => deviceUses(ADDRESS, system.paths);

  function disk(name: string, number: string): void {
    system.file(`${directory}/host/${name}/dev`, `${number}\n`);
    system.link(`sys/class/block/${name}`, `${directory}/host/${name}`);
  }

  function networkInterface(name: string): void {
    system.file(`${directory}/net/${name}/address`);
    system.link(`sys/class/net/${name}`, `${directory}/net/${name}`);
  }

  const ROUTE_HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

  it("finds nothing where the machine does not need the device", () => {
    disk("sdb", "8:16");
    networkInterface("eth1");
    system.file("proc/self/mountinfo", "29 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n");
    system.file("proc/net/route", `${ROUTE_HEAD}eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n`);
    system.file("proc/swaps", "Filename\tType\n/dev/sda2 partition 1 0 -2\n");
    expect(uses()).toEqual([]);
  });

  it("names mounts, by number and by source", () => {
    disk("sda1", "8:1");
    disk("sda2", "8:2");
    system.file(
      "proc/self/mountinfo",
      "29 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n30 29 0:31 /sub /home rw shared:2 - btrfs /dev/sda2 rw\n",
    );
    expect(uses()).toEqual(["disk sda1 is mounted at /", "disk sda2 is mounted at /home"]);
  });

  it("names swap space and volumes on top of a disk", () => {
    disk("sda1", "8:1");
    system.directory(`${directory}/host/sda1/holders/dm-0`);
    system.file("proc/swaps", "Filename\t\tType\n/dev/sda1                               partition\t1\n");
    expect(uses()).toEqual(["disk sda1 is swap space", "disk sda1 is part of dm-0"]);
  });

  it("names an interface that is up", () => {
    networkInterface("eth0");
    networkInterface("eth1");
    system.file(`${directory}/net/eth0/flags`, "0x1003\n");
    system.file(`${directory}/net/eth1/flags`, "0x1002\n");
    expect(uses()).toEqual(["network interface eth0 is up"]);
  });

  it("names the default route, IPv4 and IPv6, also through a bridge", () => {
    networkInterface("eth0");
    system.directory(`${directory}/net/eth0/upper_br0`);
    system.file("sys/class/net/br0/address");
    system.file("proc/net/route", `${ROUTE_HEAD}br0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n`);
    expect(uses()).toEqual(["network interface eth0 carries the default route (by br0)"]);
    const zero = "0".repeat(32);
    system.file("proc/net/route", ROUTE_HEAD);
    system.file("proc/net/ipv6_route", `${zero} 00 ${zero} 00 ${zero} 00000400 00000001 00000000 00000003     eth0\n`);
    expect(uses()).toEqual(["network interface eth0 carries the default route"]);
    system.file("proc/net/ipv6_route", `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo\n`);
    expect(uses()).toEqual([]);
  });

  it("asks the kernel: a disk that nothing names, but that is claimed, is in use", () => {
    disk("sdb", "8:16");
    system.paths.claimed.add("dev/sdb");
    expect(uses()).toEqual([
      "disk sdb is claimed by the kernel (a member of a volume, or mounted in another namespace)",
    ]);
  });

  it("asks for a disk in a folder of /dev by its path there", () => {
    disk("cciss!c0d0", "104:0");
    system.paths.claimed.add("dev/cciss/c0d0");
    expect(uses()).toHaveLength(1);
  });

  it("names the process that has a raw disk open", () => {
    disk("sdb", "8:16");
    system.file("dev/sdb");
    system.file("proc/10/comm", "qemu\n");
    system.absoluteLink("proc/10/fd/3", "dev/sdb");
    expect(uses()).toEqual(["disk sdb is held by process 10 (qemu)"]);
  });

  it("finds the namespaces of an NVMe controller below its subsystem, and of no other", () => {
    system.file(`${directory}/nvme/nvme0/address`);
    system.link("sys/class/nvme/nvme0", `${directory}/nvme/nvme0`);
    for (const [number, controller] of [
      [0, "nvme0"],
      [1, "nvme1"],
    ] as const) {
      const subsystem = `sys/devices/virtual/nvme-subsystem/nvme-subsys${number}`;
      system.file(`${subsystem}/nvme${number}n1/dev`, `259:${number}\n`);
      system.link(`${subsystem}/${controller}`, `sys/class/nvme/${controller}`);
      system.file(`sys/devices/other/${controller}/address`);
      system.link(`sys/class/nvme-subsystem/nvme-subsys${number}`, subsystem);
      system.link(`sys/class/block/nvme${number}n1`, `${subsystem}/nvme${number}n1`);
    }
    system.link("sys/class/nvme/nvme1", "sys/devices/other/nvme1");
    system.paths.claimed.add("dev/nvme0n1").add("dev/nvme1n1");
    expect(uses()).toEqual([
      "disk nvme0n1 is claimed by the kernel (a member of a volume, or mounted in another namespace)",
    ]);
  });

  it("suspects an Ethernet driver without an interface: a container may have it", () => {
    system.file(`${directory}/class`, "0x020000\n");
    expect(uses()).toEqual([
      "its driver some shows no network interface here: it may belong to another network namespace",
    ]);
  });

  it("names the boot display", () => {
    system.file(`${directory}/boot_vga`, "1\n");
    expect(uses()).toEqual(["it is the machine's display"]);
  });

  it("names a file system that comes by virtio", () => {
    system.link(`${directory}/virtio0/driver`, "sys/bus/virtio/drivers/virtiofs");
    system.file("proc/self/mountinfo", "29 1 0:20 / / rw - virtiofs root rw\n");
    expect(uses()).toEqual(["a virtiofs file system is mounted at /"]);
  });
});

describe("fileHolders", () => {
  it("finds the processes that have a file open, leaving out one descriptor of this one", () => {
    using system = new FakeSystem();
    system.file("dev/vfio/5");
    system.file("proc/10/comm", "qemu\n");
    system.absoluteLink("proc/10/fd/3", "dev/vfio/5");
    system.absoluteLink(`proc/${process.pid}/fd/7`, "dev/vfio/5");
    system.absoluteLink("proc/11/fd/3", "dev/vfio/6");
    const path = system.paths.dev("vfio", "5");
    expect(
      fileHolders(path, system.paths)
        .map(({ pid }) => pid)
        .sort((a, b) => a - b),
    ).toEqual([10, process.pid].sort((a, b) => a - b));
    expect(describeHolders(path, system.paths, 7)).toBe("held by process 10 (qemu)");
    expect(describeHolders(system.paths.dev("vfio", "7"), system.paths)).toBeUndefined();
  });
});

describe("hugePageCounts", () => {
  it("reads the counts of a size, and nothing for a size the kernel does not have", () => {
    using system = new FakeSystem();
    const directory = "sys/kernel/mm/hugepages/hugepages-2048kB";
    system.file(`${directory}/nr_hugepages`, "64\n");
    system.file(`${directory}/free_hugepages`, "60\n");
    system.file(`${directory}/resv_hugepages`, "2\n");
    expect(hugePageCounts(2 ** 21, system.paths)).toEqual({ reserved: 64, free: 60, promised: 2 });
    expect(hugePageCounts(2 ** 30, system.paths)).toBeUndefined();
  });
});
