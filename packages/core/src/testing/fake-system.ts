import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { FakeDriverCore, type FakeTree } from "./fake-driver-core";

/** A PCI function to put into a {@link FakeSystem}. */
export interface FakePciDevice {
  /** PCI address, `0000:6a:01.0`. */
  readonly address: string;
  /** Vendor id, 16 bits. */
  readonly vendor?: number;
  /** Device id, 16 bits. */
  readonly device?: number;
  /** Default: a class of its own (0xff0000). */
  readonly class?: number;
  /** The bound driver, which the kernel also knows as the device's own. */
  readonly driver?: string;
  /** The IOMMU group's number. Absent: the device is behind no IOMMU. */
  readonly group?: number;
  /** Name of the VFIO device file. */
  readonly cdev?: string;
  /** Further attributes by file name. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/**
 * A tree of files in place of `/sys`, `/dev`, `/proc` and `/run`, for tests. Writes through `paths` bind and unbind.
 */
export class FakeSystem implements Disposable, FakeTree {
  /** The tree's folder, which disposal removes. */
  readonly root = mkdtempSync(join(tmpdir(), "vfio-fake-system-"));
  /** Paths into the tree. Writing them acts as the kernel does. */
  readonly paths = new FakeDriverCore(this.root, this);
  readonly #native = new Map<string, string>();

  /** function Object() { [native code] } */
  constructor() {
    this.file("sys/bus/pci/drivers_probe");
  }

  /** Writes a file, with its directories. `path` starts below the root. */
  file(path: string, text = ""): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }

  /** Makes a directory, with those above it. `path` starts below the root. */
  directory(path: string): void {
    mkdirSync(join(this.root, path), { recursive: true });
  }

  /** A relative symbolic link at `path` to `target`, both below the root. */
  link(path: string, target: string): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    rmSync(full, { force: true });
    symlinkSync(relative(dirname(full), join(this.root, target)), full);
  }

  /** A symbolic link with an absolute target, like those in /proc/PID/fd. */
  absoluteLink(path: string, target: string): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    rmSync(full, { force: true });
    symlinkSync(join(this.root, target), full);
  }

  /** The text of a file. `path` starts below the root. */
  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  /** Adds a PCI driver that has no device. */
  driver(name: string): void {
    this.file(`sys/bus/pci/drivers/${name}/bind`);
    this.file(`sys/bus/pci/drivers/${name}/unbind`);
  }

  /** Adds a PCI function as the kernel shows it. Returns its directory below the root. */
  pci(device: FakePciDevice): string {
    const { address, attributes = {} } = device;
    const directory = `sys/devices/pci0000:00/${address}`;
    const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, "0")}\n`;
    this.file(`${directory}/vendor`, hex(device.vendor ?? 0x8086, 4));
    this.file(`${directory}/device`, hex(device.device ?? 0x10c9, 4));
    this.file(`${directory}/class`, hex(device.class ?? 0xff0000, 6));
    this.file(`${directory}/driver_override`, "(null)\n");
    for (const [name, text] of Object.entries(attributes)) this.file(`${directory}/${name}`, text);
    this.link(`sys/bus/pci/devices/${address}`, directory);
    if (device.driver !== undefined) {
      this.driver(device.driver);
      this.setDriver(address, device.driver);
      this.#native.set(address, device.driver);
    }
    if (device.group !== undefined) {
      this.link(`${directory}/iommu_group`, `sys/kernel/iommu_groups/${device.group}`);
      this.link(`sys/kernel/iommu_groups/${device.group}/devices/${address}`, directory);
    }
    if (device.cdev !== undefined) this.directory(`${directory}/vfio-dev/${device.cdev}`);
    return directory;
  }

  setDriver(address: string, driver: string | undefined): void {
    const link = `sys/devices/pci0000:00/${address}/driver`;
    rmSync(join(this.root, link), { force: true });
    if (driver !== undefined) this.link(link, `sys/bus/pci/drivers/${driver}`);
  }

  nativeDriver(address: string): string | undefined {
    return this.#native.get(address);
  }

  /** Whether the tree has this PCI driver. */
  hasDriver(driver: string): boolean {
    return existsSync(join(this.root, "sys/bus/pci/drivers", driver));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
