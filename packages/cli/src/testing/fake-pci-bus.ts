import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core";

export interface FakeFunction {
  readonly address: string;
  readonly ids?: readonly [vendor: number, device: number];
  readonly class?: number;
  readonly driver?: string;
  readonly group?: number;
  readonly numVfs?: number;
}

/** A tree like `/sys`, and the kernel's answers to writes into it: driver_override, unbind, bind, drivers_probe. */
export class FakePciBus implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "fake-pci-bus-"));
  readonly paths = new SystemPaths(this.root);
  /** Every write, as `FILE=VALUE` with the file's last names. */
  readonly writes: string[] = [];
  /** The driver that the kernel would choose for a function without an override. */
  readonly #native = new Map<string, string>();
  /** Writes to these files fail with this errno name. */
  readonly refusals = new Map<string, string>();

  constructor(functions: readonly FakeFunction[]) {
    for (const name of ["vfio-pci", "e1000e", "nvme"]) mkdirSync(this.#driver(name), { recursive: true });
    for (const fn of functions) this.#add(fn);
  }

  driverOf(address: string): string | undefined {
    const link = this.paths.pciDevice(address, "driver");
    return existsSync(link) ? basename(readlinkSync(link)) : undefined;
  }

  attribute(address: string, name: string): string {
    return readFileSync(this.paths.pciDevice(address, name), "utf8").trim();
  }

  readonly writeFile = (path: string, value: string): void => {
    const short = `${basename(dirname(path))}/${basename(path)}`;
    const refusal = this.refusals.get(short);
    if (refusal !== undefined) throw Object.assign(new Error(refusal), { code: refusal, errno: -13 });
    this.writes.push(`${short}=${value.trim()}`);
    const address = value.trim();
    switch (basename(path)) {
      case "unbind":
        rmSync(this.paths.pciDevice(address, "driver"));
        break;
      case "bind":
        this.#link(address, basename(dirname(path)));
        break;
      case "drivers_probe": {
        const override = this.attribute(address, "driver_override");
        const driver = override === "" ? this.#native.get(address) : override;
        if (driver !== undefined && this.driverOf(address) === undefined) this.#link(address, driver);
        break;
      }
      default:
        writeFileSync(path, value);
    }
  };

  /** Puts a file into a function's directory: `net/eth0/flags`. */
  put(address: string, file: string, text: string): void {
    const path = this.paths.pciDevice(address, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  #add({
    address,
    ids: [vendor, device] = [0x8086, 0x10c9],
    class: code = 0x02_0000,
    driver,
    group,
    numVfs,
  }: FakeFunction): void {
    const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, "0")}\n`;
    this.put(address, "vendor", hex(vendor, 4));
    this.put(address, "device", hex(device, 4));
    this.put(address, "class", hex(code, 6));
    this.put(address, "driver_override", "(null)\n");
    if (numVfs !== undefined) {
      this.put(address, "sriov_totalvfs", "8\n");
      this.put(address, "sriov_numvfs", `${numVfs}\n`);
    }
    if (group !== undefined) {
      const directory = this.paths.sys("kernel", "iommu_groups", String(group), "devices");
      mkdirSync(directory, { recursive: true });
      symlinkSync(this.paths.pciDevice(address), join(directory, address));
      symlinkSync(
        this.paths.sys("kernel", "iommu_groups", String(group)),
        this.paths.pciDevice(address, "iommu_group"),
      );
    }
    if (driver !== undefined) {
      this.#native.set(address, driver);
      this.#link(address, driver);
    }
  }

  #link(address: string, driver: string): void {
    symlinkSync(this.#driver(driver), this.paths.pciDevice(address, "driver"));
  }

  #driver(name: string): string {
    return this.paths.sys("bus", "pci", "drivers", name);
  }
}
