import type { Driver, DriverInstance, DriverLimits } from "../contracts/driver";
import { VfioError, argumentError, closedError } from "../errors/vfio-error";
import type { DmaRegion } from "../iommu/dma-region";
import type { Iommu } from "../iommu/iommu";
import { DEFAULT_WAIT_MS, checkTimeout } from "../interrupts/time-out";
import type { InterruptVector } from "../interrupts/interrupt-vector";
import { DmaMemory } from "../memory/dma-memory";
import type { PciDevice } from "../pci/pci-device";
import { checkLimits, memcpyChunks } from "./memcpy-chunks";

export interface DriverSessionOptions {
  /** IOVA of the driver's region; default: allocated by the address space. */
  readonly iova?: bigint;
}

/**
 * A driver at work on a device: gives it its DMA region, and holds both sides to the contract (one copy at a time, no
 * interrupt during a copy, sizes, counts and alignment within the driver's limits).
 */
export class DriverSession implements Disposable {
  readonly driver: Driver;
  readonly device: PciDevice;
  /** The driver's own DMA memory, mapped. */
  readonly region: DmaRegion;
  readonly #memory: DmaMemory;
  #instance: DriverInstance | undefined;
  #copying = false;
  #closed = false;

  /** Allocates and maps the region and brings the device up. Nothing is left behind when it throws. */
  constructor(driver: Driver, device: PciDevice, iommu: Iommu, options: DriverSessionOptions = {}) {
    this.driver = driver;
    this.device = device;
    // A memfd, so that a device in another process (vfio-user) can map the region.
    this.#memory = DmaMemory.allocate(driver.regionSize, { backing: "memfd" });
    try {
      this.region = iommu.map(this.#memory, options.iova === undefined ? {} : { iova: options.iova });
    } catch (error) {
      this.#memory.close();
      throw error;
    }
    try {
      this.create();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The device is up: between `create` and `remove`. */
  get created(): boolean {
    return this.#instance !== undefined;
  }

  /** A copy was started and not yet waited for. */
  get copying(): boolean {
    return this.#copying;
  }

  get limits(): DriverLimits {
    return this.#running("limits").limits;
  }

  /** Brings the device up again after `remove`. */
  create(): void {
    if (this.#closed) throw closedError("DriverSession.create", this.#subject);
    if (this.#instance !== undefined) throw this.#stateError("create", "it is created already", "call remove() first");
    const instance = this.driver.create(this.device, this.region);
    try {
      checkLimits(this.driver.name, instance.limits);
    } catch (error) {
      instance.remove();
      throw error;
    }
    this.#instance = instance;
  }

  /** Brings the device down; allowed during a copy; does nothing when it is down. */
  remove(): void {
    const instance = this.#instance;
    this.#instance = undefined;
    this.#copying = false;
    instance?.remove();
  }

  /** Starts `count` repeats of one copy between I/O virtual addresses and returns at once. */
  memcpyStart(source: bigint, destination: bigint, size: number, count = 1): void {
    const instance = this.#idle("memcpyStart");
    this.#checkCopy(instance.limits, source, destination, size, count);
    instance.memcpyStart(source, destination, size, count);
    this.#copying = true;
  }

  /** Waits for the copy that was started. Throws what the driver reports; the next copy may start in any case. */
  memcpyWait(options: { readonly timeoutMs?: number } = {}): void {
    const instance = this.#running("memcpyWait");
    const timeoutMs = checkTimeout("DriverSession.memcpyWait", options.timeoutMs ?? DEFAULT_WAIT_MS);
    if (!this.#copying) {
      throw this.#stateError("memcpyWait", "no copy was started", "call memcpyStart() first");
    }
    // All DMA has ended when memcpyWait returns or throws (contracts/driver.ts).
    this.#copying = false;
    instance.memcpyWait({ timeoutMs });
  }

  /** Copies any size the alignment allows, in as many chunks as it takes; stops at the first error. */
  memcpy(source: bigint, destination: bigint, size: number, options: { readonly timeoutMs?: number } = {}): void {
    const { limits } = this.#idle("memcpy");
    for (const chunk of memcpyChunks(size, limits)) {
      const offset = BigInt(chunk.offset);
      this.memcpyStart(source + offset, destination + offset, chunk.size);
      this.memcpyWait(options);
    }
  }

  /** True when the driver can make the device raise an interrupt. */
  get canSendMsi(): boolean {
    return this.#running("canSendMsi").sendMsi !== undefined;
  }

  /** Makes the device raise {@link msi} exactly once. */
  sendMsi(): void {
    const instance = this.#idle("sendMsi");
    if (instance.sendMsi === undefined) throw this.#noMsi("sendMsi");
    instance.sendMsi();
  }

  /** The vector that `sendMsi` raises: of MSI-X or MSI, whichever the driver enabled. */
  get msi(): InterruptVector {
    const { msiVector } = this.#running("msi");
    const index = this.device.interrupts.exclusiveInUse();
    if (msiVector === undefined || index === undefined) throw this.#noMsi("msi");
    return index.vector(msiVector);
  }

  /** Brings the device down, unmaps and frees the region; not the device. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.remove();
    } finally {
      try {
        this.region.unmap();
      } finally {
        this.#memory.close();
      }
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #subject(): string {
    return `driver ${this.driver.name} on ${this.device.address}`;
  }

  #running(method: string): DriverInstance {
    if (this.#closed) throw closedError(`DriverSession.${method}`, this.#subject);
    if (this.#instance === undefined) throw this.#stateError(method, "it is removed", "call create() first");
    return this.#instance;
  }

  #idle(method: string): DriverInstance {
    const instance = this.#running(method);
    if (this.#copying) throw this.#stateError(method, "a copy is in progress", "call memcpyWait() first");
    return instance;
  }

  #checkCopy(limits: DriverLimits, source: bigint, destination: bigint, size: number, count: number): void {
    const operation = "DriverSession.memcpyStart";
    const { minMemcpySize, maxMemcpySize, maxMemcpyCount, alignment } = limits;
    const multiple = alignment === 1 ? "" : `, in multiples of ${alignment}`;
    if (!Number.isInteger(size) || size < minMemcpySize || size > maxMemcpySize || size % alignment !== 0) {
      throw argumentError(operation, "size", size, `${minMemcpySize} to ${maxMemcpySize} bytes${multiple}`);
    }
    if (!Number.isInteger(count) || count < 1 || count > maxMemcpyCount) {
      throw argumentError(operation, "count", count, `1 to ${maxMemcpyCount}`);
    }
    for (const [name, address] of [
      ["source", source],
      ["destination", destination],
    ] as const) {
      if (typeof address !== "bigint" || address < 0n || address > LAST_IOVA || !isAligned(address, alignment)) {
        throw argumentError(operation, name, address, `a bigint from 0x0 to 0xffffffffffffffff${multiple}`);
      }
    }
  }

  #noMsi(method: string): VfioError {
    return new VfioError(`${this.#subject} cannot raise an interrupt`, {
      code: "ERR_NOT_SUPPORTED",
      operation: `DriverSession.${method}`,
      subject: this.device.address,
    });
  }

  #stateError(method: string, state: string, remedy: string): VfioError {
    return new VfioError(`DriverSession.${method}: ${this.#subject}: ${state}`, {
      code: "ERR_INVALID_STATE",
      operation: `DriverSession.${method}`,
      subject: this.device.address,
      remedy,
    });
  }
}

const LAST_IOVA = 0xffff_ffff_ffff_ffffn;

function isAligned(address: bigint, alignment: number): boolean {
  return alignment === 1 || address % BigInt(alignment) === 0n;
}
