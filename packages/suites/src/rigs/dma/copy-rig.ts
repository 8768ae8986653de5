import {
  DmaMemory,
  type DmaRegion,
  Iommu,
  type IommuMode,
  type OpenDeviceOptions,
  PciDevice,
} from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { DriverSession } from "@vfio-selftests/core/driver";
import { EDU_IOVA_LIMIT } from "../../devices/edu/edu-registers";
import type { SuiteTarget } from "../../suite-target";
import { findCopyDriver } from "./find-driver";
import { PseudoRandom } from "./pseudo-random";

const GUARD_BYTE = 0xa5;
/** The most bytes of a copy: enough to cross page boundaries, few enough to compare each time. */
const LARGEST_COPY = 64 * 1024;

/** Devices in one address space, each with its own memory to copy between, at IOVAs that every device reaches. */
export class CopyRig implements Disposable {
  readonly copiers: readonly DeviceCopier[];

  /** Opens the devices. Skips the test when one of them has no driver. */
  constructor(
    target: SuiteTarget,
    mode: IommuMode,
    addresses: readonly string[],
    readonly iommu = new Iommu(mode.open()),
  ) {
    const copiers: DeviceCopier[] = [];
    try {
      for (const [number, address] of addresses.entries()) {
        copiers.push(new DeviceCopier(target, iommu, address, number));
      }
    } catch (error) {
      iommu.close();
      throw error;
    }
    this.copiers = copiers;
  }

  /** The first device's copier. */
  get copier(): DeviceCopier {
    const [first] = this.copiers;
    if (first === undefined) throw new RangeError("the rig has no device");
    return first;
  }

  [Symbol.dispose](): void {
    closeAll("the rig", [...this.copiers.map((copier) => () => copier.close()), () => this.iommu.close()]);
  }
}

/** A device that copies from one region to another, and checks what arrived. */
export class DeviceCopier {
  readonly device: PciDevice;
  readonly session: DriverSession;
  readonly source: DmaRegion;
  readonly destination: DmaRegion;
  /** Bytes of a copy. */
  readonly size: number;
  readonly #memory: DmaMemory;
  readonly #random: PseudoRandom;
  #closed = false;

  constructor(target: SuiteTarget, iommu: Iommu, address: string, seed: number, options: OpenDeviceOptions = {}) {
    this.device = PciDevice.open(iommu, address, options);
    this.session = new DriverSession(findCopyDriver(target, this.device), this.device, iommu);
    this.size = Math.min(this.session.limits.maxMemcpySize, LARGEST_COPY);
    this.#memory = DmaMemory.allocate(2 * LARGEST_COPY);
    const reachable = { below: EDU_IOVA_LIMIT };
    this.source = iommu.map(this.#memory, { length: LARGEST_COPY, ...reachable });
    this.destination = iommu.map(this.#memory, { offset: LARGEST_COPY, length: LARGEST_COPY, ...reachable });
    this.#random = new PseudoRandom(seed + 1);
  }

  /** Fills the source with new data and the destination with guard bytes, then starts the copy, `repeats` times. */
  start(repeats = 1): void {
    this.#random.fill(this.source.bytes.subarray(0, this.size));
    this.destination.bytes.fill(GUARD_BYTE);
    const count = Math.min(repeats, this.session.limits.maxMemcpyCount);
    this.session.memcpyStart(this.source.iova, this.destination.iova, this.size, count);
  }

  /** Waits for the copy, and expects the data with only guard bytes behind it. */
  finish(): void {
    this.session.memcpyWait();
    const expected = Buffer.alloc(this.destination.length, GUARD_BYTE);
    expected.set(this.source.bytes.subarray(0, this.size));
    expect({ device: this.device.address, intact: expected.equals(this.destination.bytes) }).toEqual({
      device: this.device.address,
      intact: true,
    });
  }

  /** Makes one copy and checks it. */
  copy(): void {
    this.start();
    this.finish();
  }

  /** Closes the device and frees its memory. The address space and other devices stay. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeAll(`the copier of ${this.device.address}`, [
      () => this.session.close(),
      () => void this.source.unmap(),
      () => void this.destination.unmap(),
      () => this.device.close(),
      () => this.#memory.close(),
    ]);
  }
}
