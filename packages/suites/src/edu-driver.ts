import type { PciDevice } from "@vfio-selftests/core";
import { pollUntil, type Driver, type DriverInstance } from "@vfio-selftests/core/driver";
import { argumentError } from "@vfio-selftests/core/errors";

/** QEMU's edu device (docs/specs/edu.rst): one DMA channel between memory and a buffer of its own. */
export const EDU = { vendor: 0x1234, device: 0x11e8 } as const;
const DMA_SOURCE = 0x80;
const DMA_DESTINATION = 0x88;
const DMA_COUNT = 0x90;
const DMA_COMMAND = 0x98;
const COMMAND_START = 1 << 0;
/** From the buffer to memory. */
const COMMAND_TO_MEMORY = 1 << 1;
/** The buffer, in the addresses of the DMA engine. */
const BUFFER = 0x40000n;
const BUFFER_SIZE = 4096;
const STEP_TIMEOUT_MS = 5000;

/** edu reaches this many address bits by DMA (its property dma_mask). */
export const EDU_IOVA_LIMIT = 2n ** 28n;
const REACHABLE = `IOVAs whose end edu reaches, at most 0x${EDU_IOVA_LIMIT.toString(16)}`;

/**
 * Copies through edu's buffer, 0.1 s each way (the device's own delay). It is no driver for everybody, because the device
 * only reaches IOVAs below {@link EDU_IOVA_LIMIT}; a fault leaves no trace in its registers.
 */
export const eduDriver: Driver = {
  name: "edu",
  ids: [EDU],
  regionSize: 1,
  create: (device) => new EduCopies(device),
};

/** From edu's buffer to memory, once the first half is through. */
interface SecondHalf {
  readonly destination: bigint;
  readonly size: number;
}

class EduCopies implements DriverInstance {
  readonly limits = { maxMemcpySize: BUFFER_SIZE, minMemcpySize: 1, maxMemcpyCount: 1, alignment: 1 };
  readonly #device: PciDevice;
  #second: SecondHalf | undefined;

  constructor(device: PciDevice) {
    this.#device = device;
    device.config.busMaster = true;
  }

  memcpyStart(source: bigint, destination: bigint, size: number): void {
    for (const [name, iova] of Object.entries({ source, destination })) {
      // The device would drop the bits above, and copy elsewhere.
      if (iova + BigInt(size) > EDU_IOVA_LIMIT) throw argumentError("start a copy", name, iova, REACHABLE);
    }
    this.#second = { destination, size };
    this.#transfer(source, BUFFER, size, COMMAND_START);
  }

  /** The copy's second half begins when somebody asks after the first. */
  memcpyEnded(): boolean {
    if (this.#busy) return false;
    if (this.#second === undefined) return true;
    this.#startSecond(this.#second);
    return false;
  }

  memcpyWait({ timeoutMs = STEP_TIMEOUT_MS }: { timeoutMs?: number } = {}): void {
    try {
      this.#idle(timeoutMs);
      if (this.#second === undefined) return;
      this.#startSecond(this.#second);
      this.#idle(timeoutMs);
    } catch (error) {
      // Nothing stops a transfer of edu, but it always ends.
      this.#second = undefined;
      this.#idle();
      throw error;
    }
  }

  remove(): void {
    this.#idle();
    this.#device.config.busMaster = false;
  }

  #startSecond({ destination, size }: SecondHalf): void {
    this.#second = undefined;
    this.#transfer(BUFFER, destination, size, COMMAND_START | COMMAND_TO_MEMORY);
  }

  get #busy(): boolean {
    return (this.#device.bar(0).read64(DMA_COMMAND) & BigInt(COMMAND_START)) !== 0n;
  }

  #transfer(source: bigint, destination: bigint, size: number, command: number): void {
    const registers = this.#device.bar(0);
    registers.write64(DMA_SOURCE, source);
    registers.write64(DMA_DESTINATION, destination);
    registers.write64(DMA_COUNT, BigInt(size));
    registers.write64(DMA_COMMAND, BigInt(command));
  }

  #idle(timeoutMs = STEP_TIMEOUT_MS): void {
    pollUntil(() => !this.#busy, {
      timeoutMs,
      what: "the DMA to end",
      subject: this.#device.address,
    });
  }
}
