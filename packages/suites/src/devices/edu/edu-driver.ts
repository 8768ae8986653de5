import type { PciDevice } from "@vfio-selftests/core";
import { type Driver, type DriverInstance, pollUntil } from "@vfio-selftests/core/driver";
import { argumentError } from "@vfio-selftests/core/errors";
import { EDU, EDU_BUFFER, EDU_DMA_COMMAND, EDU_IOVA_LIMIT, EDU_REGISTERS } from "./edu-registers";

const { dmaSource, dmaDestination, dmaCount, dmaCommand } = EDU_REGISTERS;
const STEP_TIMEOUT_MS = 5000;
const REACHABLE = `IOVAs whose end edu reaches, at most 0x${EDU_IOVA_LIMIT.toString(16)}`;

/**
 * Copies through edu's buffer, 0.1 s each way (the device's own delay). It is no driver for general use, because the
 * device reaches only IOVAs below {@link EDU_IOVA_LIMIT}, and its registers show no fault.
 */
export const eduDriver: Driver = {
  name: "edu",
  ids: [EDU],
  regionSize: 1,
  create: (device) => new EduCopies(device),
};

/** The copy from edu's buffer to memory, which follows when the first half has ended. */
interface SecondHalf {
  readonly destination: bigint;
  readonly size: number;
}

class EduCopies implements DriverInstance {
  readonly limits = { maxMemcpySize: EDU_BUFFER.size, minMemcpySize: 1, maxMemcpyCount: 1, alignment: 1 };
  readonly #device: PciDevice;
  #second: SecondHalf | undefined;

  constructor(device: PciDevice) {
    this.#device = device;
    device.config.busMaster = true;
  }

  memcpyStart(source: bigint, destination: bigint, size: number): void {
    for (const [name, iova] of Object.entries({ source, destination })) {
      // The device would drop the upper bits, and copy elsewhere.
      if (iova + BigInt(size) > EDU_IOVA_LIMIT) throw argumentError("start a copy", name, iova, REACHABLE);
    }
    this.#second = { destination, size };
    this.#transfer(source, EDU_BUFFER.address, size, EDU_DMA_COMMAND.start);
  }

  /** The first call that finds the first half ended starts the second. */
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
    this.#transfer(EDU_BUFFER.address, destination, size, EDU_DMA_COMMAND.start | EDU_DMA_COMMAND.toMemory);
  }

  get #busy(): boolean {
    return (this.#device.bar(0).read64(dmaCommand) & BigInt(EDU_DMA_COMMAND.start)) !== 0n;
  }

  #transfer(source: bigint, destination: bigint, size: number, command: number): void {
    const registers = this.#device.bar(0);
    registers.write64(dmaSource, source);
    registers.write64(dmaDestination, destination);
    registers.write64(dmaCount, BigInt(size));
    registers.write64(dmaCommand, BigInt(command));
  }

  #idle(timeoutMs = STEP_TIMEOUT_MS): void {
    pollUntil(() => !this.#busy, {
      timeoutMs,
      what: "the DMA to end",
      subject: this.#device.address,
    });
  }
}
