import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { DmaMemory, type DmaRegion, Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { nvmeDriver, nvmeDriverFor } from "@vfio-selftests/driver-nvme";
import { defaultMode, fixture, GuardedDriver, requireMode, skip } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";

const target = kernelTarget();
const mode = defaultMode(target);

const NVME_CLASS = "0x010802";
const BLOCK = 512;
const FILLER = 0x5a;
const COPIED = 0xc3;
const MIB = 1024 ** 2;
/** Where copies go through, counted from the end of the disk. */
const SCRATCH = 128 * 1024;
const DISK_TIMEOUT_MS = 20_000;
jest.setTimeout(300_000);

const isNvme = (address: string): boolean => readAttribute(systemPaths.pciDevice(address, "class")) === NVME_CLASS;

/** What the kernel's own driver finds on the disk after ours has used it. */
fixture("nvme_disk", { devices: target.devices.filter(isNvme).slice(0, 1) }, (address) => {
  requireMode(mode);
  let owner: GuardedDriver | undefined;
  let written: Buffer;

  onlyInLab("the test overwrites a disk");
  beforeEach(async () => {
    owner = new GuardedDriver(address);
    written = await withKernelsDriver(fill);
    owner.bind("vfio-pci");
  });
  afterEach(() => {
    owner?.[Symbol.dispose]();
    owner = undefined;
  });

  /** Gives the disk to the kernel's driver and calls `use` with its file. */
  async function withKernelsDriver<T>(use: (file: string) => T): Promise<T> {
    owner?.bind("nvme");
    if (owner?.current !== "nvme")
      skip({ reason: "the kernel has no nvme driver", remedy: "use the lab's x86 kernel" });
    const deadline = performance.now() + DISK_TIMEOUT_MS;
    let file = diskOf(address);
    for (; file === undefined && performance.now() < deadline; file = diskOf(address)) await sleep(50);
    if (file === undefined) throw new Error(`the kernel's driver shows no disk of ${address}`);
    return use(file);
  }

  it("copies_leave_the_disk_as_it_was", async () => {
    copyThenEnd((session, source, destination) => {
      session.memcpySync(source.iova, destination.iova, MIB);
      expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0);
      session.sendMsi();
      session.remove();
      session.create();
      session.memcpyStart(source.iova, destination.iova, session.limits.maxMemcpySize, session.limits.maxMemcpyCount);
      session.device.reset();
    });
    expect(await withKernelsDriver(differences)).toEqual([]);
  });

  it("a_killed_user_has_changed_the_scratch_range_alone", async () => {
    const script = `
      const { DmaMemory, Iommu, PciDevice } = require(${JSON.stringify(require.resolve("@vfio-selftests/core"))});
      const { DriverSession } = require(${JSON.stringify(require.resolve("@vfio-selftests/core/driver"))});
      const { findMode } = require(${JSON.stringify(require.resolve("@vfio-selftests/iommu-modes"))});
      const { nvmeDriver } = require(${JSON.stringify(require.resolve("@vfio-selftests/driver-nvme"))});
      const iommu = new Iommu(findMode("${mode.name}").open());
      const session = new DriverSession(nvmeDriver, PciDevice.open(iommu, "${address}"), iommu);
      const region = iommu.map(DmaMemory.allocate(${2 * SCRATCH}));
      region.bytes.fill(${COPIED}, 0, ${SCRATCH});
      session.memcpySync(region.iova, region.iovaOf(${SCRATCH}), ${SCRATCH});
      process.kill(process.pid, "SIGKILL");`;
    const { signal, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect({ signal, stderr }).toEqual({ signal: "SIGKILL", stderr: "" });
    written.fill(COPIED, written.length - SCRATCH);
    expect(await withKernelsDriver(differences)).toEqual([]);
  });

  it("a_disk_that_nobody_named_is_refused_and_left_alone", async () => {
    const refused = (): void => copyThenEnd(() => undefined, nvmeDriverFor([{ serial: "another" }]));
    expect(refused).toThrow(VfioError);
    expect(refused).toThrow(/VFIO_SELFTESTS_NVME_SCRATCH is "another"; allowed: lab-scratch-\d+/);
    expect(await withKernelsDriver(differences)).toEqual([]);
  });

  function copyThenEnd(
    use: (session: DriverSession, source: DmaRegion, destination: DmaRegion) => void,
    driver = nvmeDriver,
  ): void {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    using memory = DmaMemory.allocate(2 * MIB);
    using source = iommu.map(memory, { length: MIB });
    using destination = iommu.map(memory, { offset: MIB, length: MIB });
    using session = new DriverSession(driver, device, iommu);
    source.bytes.fill(COPIED);
    use(session, source, destination);
  }

  /** The first blocks that are not as they should be. */
  function differences(file: string): number[] {
    const found = readFileSync(file);
    if (found.equals(written)) return [];
    const blocks = Array.from({ length: written.length / BLOCK }, (_, block) => block);
    const isWrong = (block: number): boolean =>
      written.compare(found, block * BLOCK, (block + 1) * BLOCK, block * BLOCK, (block + 1) * BLOCK) !== 0;
    return blocks.filter(isWrong).slice(0, 10);
  }
});

/** The file of the disk behind a controller. */
function diskOf(address: string): string | undefined {
  const [controller] = listDirectory(systemPaths.pciDevice(address, "nvme"));
  if (controller === undefined) return undefined;
  const serial = readAttribute(systemPaths.pciDevice(address, "nvme", controller, "serial"))?.trim();
  // A disk with multipath lies below its subsystem, which has the serial number, too.
  const name = listDirectory(systemPaths.sys("class", "block")).find(
    (disk) => readAttribute(systemPaths.sys("class", "block", disk, "device", "serial"))?.trim() === serial,
  );
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Writes to each block of the disk its own number, and returns what the disk then holds. */
function fill(file: string): Buffer {
  const disk = Buffer.alloc(readFileSync(file).length, FILLER);
  for (let block = 0; block < disk.length / BLOCK; block++) disk.writeUInt32LE(block, block * BLOCK);
  const fd = openSync(file, "r+");
  try {
    for (let done = 0; done < disk.length;) done += writeSync(fd, disk, done);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return disk;
}
