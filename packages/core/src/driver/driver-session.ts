import { closedError, VfioError } from "../errors/vfio-error";
import type { InterruptVector } from "../interrupts/interrupt-vector";
import type { DmaRegion } from "../iommu/dma-region";
import type { Iommu } from "../iommu/iommu";
import { DmaMemory } from "../memory/dma-memory";
import { closeAll } from "../ownership/close-all";
import type { PciDevice } from "../pci/pci-device";
import { checkTimeout, DEFAULT_WAIT_MS, type WaitOptions } from "../waits/time-out";
import { copyOnEventLoop } from "./async-copy";
import { checkAddresses, checkCopy, isOneCopy } from "./copy-checks";
import type { Driver, DriverInstance, DriverLimits } from "./driver";
import { checkLimits, memcpyChunks } from "./memcpy-chunks";
import { checkInstance } from "./validate-driver";

/** Where a driver's own memory lies. */
export interface DriverSessionOptions {
  /** IOVA of the driver's region. Default: the address space allocates one. */
  readonly iova?: bigint;
}

export interface MemcpyOptions extends WaitOptions {
  /** Aborting it stops the device and rejects with its reason. The next copy works. */
  readonly signal?: AbortSignal;
}

/** What waits for the copy in progress: a later `memcpyWait`, or the promise of `memcpy`. */
type CopyInProgress = "memcpyWait" | "memcpy";

/**
 * A driver at work on a device. The session gives it its DMA region, and holds both sides to the contract (one copy at
 * a time, no interrupt during a copy, sizes, counts and alignment within the driver's limits).
 */
export class DriverSession implements Disposable {
  /** The driver at work. */
  readonly driver: Driver;
  /** The device that it drives. The session does not close it. */
  readonly device: PciDevice;
  /** The driver's own DMA memory, mapped. */
  readonly region: DmaRegion;
  readonly #memory: DmaMemory;
  #instance: DriverInstance | undefined;
  #copy: CopyInProgress | undefined;
  /** The options of `memcpyWait` for the driver: one object for all waits. */
  readonly #waitOptions = { timeoutMs: DEFAULT_WAIT_MS };
  #closed = false;

  /** Allocates and maps the region and brings the device up. If it throws, it leaves nothing behind. */
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
      const rethrow = (): void => {
        throw error;
      };
      closeAll(this.#subject, [rethrow, () => this.close()]);
    }
  }

  /** Whether the device is up: between `create` and `remove`. */
  get created(): boolean {
    return this.#instance !== undefined;
  }

  /** Whether a started copy still awaits its wait. */
  get copying(): boolean {
    return this.#copy !== undefined;
  }

  /** What the driver at work can copy. Throws while the device is down. */
  get limits(): DriverLimits {
    return this.#running("limits").limits;
  }

  /** Brings the device up again after `remove`. */
  create(): void {
    if (this.#closed) throw closedError("DriverSession.create", this.#subject);
    if (this.#instance !== undefined) throw this.#stateError("create", "it is created already", "call remove() first");
    const instance = this.driver.create(this.device, this.region);
    try {
      checkInstance(this.driver.name, instance);
      checkLimits(this.driver.name, instance.limits);
    } catch (error) {
      (instance as Partial<DriverInstance> | undefined)?.remove?.();
      throw error;
    }
    this.#instance = instance;
  }

  /** Brings the device down, even during a copy. Does nothing if it is down. */
  remove(): void {
    const instance = this.#instance;
    this.#instance = undefined;
    this.#copy = undefined;
    instance?.remove();
  }

  /** Starts `count` repeats of one copy between I/O virtual addresses and returns at once. */
  memcpyStart(source: bigint, destination: bigint, size: number, count = 1): void {
    const instance = this.#idle("memcpyStart");
    checkCopy("DriverSession.memcpyStart", instance.limits, source, destination, size, count);
    instance.memcpyStart(source, destination, size, count);
    this.#copy = "memcpyWait";
  }

  /**
   * Blocks the thread until the started copy has ended. Throws the driver's error. The next copy may start in any case.
   * With `timeoutMs` 0 it stops a copy that has not ended.
   */
  memcpyWait(options?: WaitOptions): void {
    const instance = this.#running("memcpyWait");
    const timeoutMs = checkTimeout("DriverSession.memcpyWait", options?.timeoutMs ?? DEFAULT_WAIT_MS);
    if (this.#copy !== "memcpyWait") throw this.#nothingToWaitFor();
    // All DMA has ended when memcpyWait returns or throws (driver.ts).
    this.#copy = undefined;
    this.#waitOptions.timeoutMs = timeoutMs;
    instance.memcpyWait(this.#waitOptions);
  }

  /**
   * Copies any size that the alignment allows, in as many chunks as it takes, and blocks the thread meanwhile. It stops
   * at the first error. `timeoutMs` is for each chunk.
   */
  memcpySync(source: bigint, destination: bigint, size: number, options?: WaitOptions): void {
    const { limits } = this.#idle("memcpySync");
    // A started copy must be waited for, so check the wait's arguments first.
    if (options?.timeoutMs !== undefined) checkTimeout("DriverSession.memcpySync", options.timeoutMs);
    if (isOneCopy(size, limits)) {
      this.memcpyStart(source, destination, size);
      this.memcpyWait(options);
      return;
    }
    checkAddresses("DriverSession.memcpySync", limits, source, destination);
    for (const chunk of memcpyChunks(size, limits)) {
      const offset = BigInt(chunk.offset);
      this.memcpyStart(source + offset, destination + offset, chunk.size);
      this.memcpyWait(options);
    }
  }

  /**
   * Like {@link memcpySync}, on the event loop. If the driver has a completion interrupt, it ends the wait for a chunk.
   * Otherwise the session polls the device with pauses of at most 8 ms. Rejects at the first error, or with the
   * signal's reason. The device is then stopped, and all DMA has ended. Stopping blocks the thread for as long as the
   * driver's reset takes. If the driver's completion interrupt is {@link msi}, its untaken counts are lost.
   */
  async memcpy(source: bigint, destination: bigint, size: number, options: MemcpyOptions = {}): Promise<void> {
    const operation = "DriverSession.memcpy";
    const instance = this.#idle("memcpy");
    const timeoutMs = checkTimeout(operation, options.timeoutMs ?? DEFAULT_WAIT_MS);
    const { signal } = options;
    checkAddresses(operation, instance.limits, source, destination);
    signal?.throwIfAborted();
    const vector = this.#completionVector(instance);
    const taken = (): VfioError | undefined => (this.#instance === instance ? undefined : this.#removedDuringCopy());
    this.#copy = "memcpy";
    try {
      for (const chunk of memcpyChunks(size, instance.limits)) {
        const offset = BigInt(chunk.offset);
        const copy = { source: source + offset, destination: destination + offset, size: chunk.size };
        checkCopy(operation, instance.limits, copy.source, copy.destination, copy.size, 1);
        signal?.throwIfAborted();
        await copyOnEventLoop({ instance, ...copy, timeoutMs, signal, vector, taken });
      }
    } finally {
      if (this.#instance === instance) this.#copy = undefined;
    }
  }

  /** Whether the driver can make the device raise an interrupt. */
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

  /**
   * Brings the device down, then unmaps and frees the region. It does not close the device. Idempotent. It completes
   * all its steps.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeAll(this.#subject, [() => this.remove(), () => void this.region.unmap(), () => this.#memory.close()]);
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
    if (this.#copy !== undefined) throw this.#busy(method, this.#copy);
    return instance;
  }

  #completionVector({ completion }: DriverInstance): InterruptVector | undefined {
    if (completion === undefined) return undefined;
    return this.device.interrupts.exclusiveInUse()?.vector(completion.vector);
  }

  #noMsi(method: string): VfioError {
    return new VfioError(`${this.#subject} cannot raise an interrupt`, {
      code: "ERR_NOT_SUPPORTED",
      operation: `DriverSession.${method}`,
      subject: this.device.address,
    });
  }

  #busy(method: string, copy: CopyInProgress): VfioError {
    const remedy = copy === "memcpy" ? "await the promise of memcpy() first" : "call memcpyWait() first";
    return this.#stateError(method, "a copy is in progress", remedy);
  }

  #nothingToWaitFor(): VfioError {
    return this.#copy === "memcpy"
      ? this.#busy("memcpyWait", "memcpy")
      : this.#stateError("memcpyWait", "no copy was started", "call memcpyStart() first");
  }

  #removedDuringCopy(): VfioError {
    return this.#closed
      ? closedError("DriverSession.memcpy", this.#subject)
      : this.#stateError("memcpy", "it was removed during the copy", "await the copy first, or end it with a signal");
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
