import { DmaMemory } from "@vfio-selftests/core";
import { PAGE_SIZE } from "../memory/page-size";
import { DeviceFile, IommufdFile } from "./iommufd-files";

const MIB = 1024 ** 2;
const PAGES = 8;

/** An address space with the device attached to it, and memory. Its requests bypass all checks of ours. */
export class AttachedSpace implements Disposable {
  readonly iommufd = new IommufdFile();
  readonly device: DeviceFile;
  readonly deviceId: number;
  readonly ioas: number;
  readonly memory: DmaMemory;

  constructor(address: string, bytes = PAGES * PAGE_SIZE) {
    this.memory = DmaMemory.allocate(bytes, bytes < MIB ? {} : { backing: "shared", alignment: 2 * MIB });
    this.device = new DeviceFile(address);
    try {
      const { code, id } = this.device.bind(this.iommufd);
      this.deviceId = id;
      this.ioas = this.iommufd.newIoas();
      expect([code, this.device.attach(this.ioas).code]).toEqual(["ok", "ok"]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  map(iova: bigint, pages: number, flags?: number): string {
    const request = { ioas: this.ioas, vaddr: this.memory.address, length: pages * PAGE_SIZE, iova };
    return this.iommufd.map(flags === undefined ? request : { ...request, flags }).code;
  }

  /** A range that no device may use. */
  reserved(): readonly { start: bigint; last: bigint }[] {
    const last = this.iommufd.ranges(this.ioas, 16).ranges[0]?.last ?? 0n;
    return [{ start: last + 1n, last: last + BigInt(PAGE_SIZE) }];
  }

  [Symbol.dispose](): void {
    this.device[Symbol.dispose]();
    this.iommufd[Symbol.dispose]();
    this.memory.close();
  }
}
