import { VfioError, type DmaRegion, type PciDevice } from "@vfio-selftests/core";
import {
  DEFAULT_WAIT_MS,
  pollUntil,
  type Driver,
  type DriverInstance,
  type DriverLimits,
} from "@vfio-selftests/core/driver";
import { checkInteger, closedError } from "@vfio-selftests/core/errors";
import { needsInterruptHandles } from "./capabilities";
import { Descriptors, type CompletionRecord } from "./descriptors";
import { DsaDevice } from "./dsa-device";
import { statusName } from "./error-names";
import { Layout, MAX_BATCHES, MAX_COPIES_PER_BATCH } from "./region-layout";
import { Flag, PORTALS_BAR, RECORD_BYTES, REGISTERS_BAR, STATUS_MASK, STATUS_WRITE_FAULT, Status } from "./registers";

const VENDOR_INTEL = 0x8086;
/** Sapphire Rapids and Emerald Rapids, Diamond Rapids, Granite Rapids D. */
const DEVICES = [0x0b25, 0x1212, 0x11fb];

/** Vector 0 tells of errors and commands. */
const MSI_VECTOR = 1;
const MSI_TIMEOUT_MS = 2000;

/** How often the registers are looked at while a copy runs: often enough for people, seldom enough for the device. */
const TROUBLE_INTERVAL_MS = 2;

/** Intel Data Streaming Accelerator. */
export const dsaDriver: Driver = {
  name: "dsa",
  ids: DEVICES.map((device) => ({ vendor: VENDOR_INTEL, device })),
  probe: (device) => {
    const missing = [REGISTERS_BAR, PORTALS_BAR].find((index) => device.bars[index]?.size === 0);
    if (missing !== undefined) return `BAR ${missing} is not implemented`;
    if (!needsInterruptHandles(device)) return true;
    return "it hands out interrupt handles by command (CMDCAP bit 13), as virtual devices do; this driver uses none";
  },
  regionSize: Layout.size,
  create: (device, region) => new DsaInstance(device, region),
};

class DsaInstance implements DriverInstance {
  readonly limits: DriverLimits;
  readonly msiVector = MSI_VECTOR;
  readonly #device: PciDevice;
  readonly #dsa: DsaDevice;
  readonly #region: DmaRegion;
  readonly #descriptors: Descriptors;
  readonly #copiesPerBatch: number;
  /** Offsets of the completion records that the copy in progress ends with; empty when there is none. */
  #awaited: number[] = [];
  /** Recovery from an error did not work: to be tried again before the next descriptor. */
  #broken = false;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    this.#region = region;
    this.#descriptors = new Descriptors(region);
    this.#dsa = new DsaDevice(device);
    const { maximumTransferShift, maximumBatchShift, totalWorkQueueSize } = this.#dsa.capabilities;
    this.#copiesPerBatch = Math.min(2 ** maximumBatchShift, MAX_COPIES_PER_BATCH);
    this.limits = {
      minMemcpySize: 1,
      maxMemcpySize: 2 ** maximumTransferShift,
      // Each batch takes an entry of the work queue.
      maxMemcpyCount: this.#copiesPerBatch * Math.min(totalWorkQueueSize, MAX_BATCHES),
      alignment: 1,
    };
    try {
      device.interrupts.msix.enable(MSI_VECTOR, 1);
    } catch (error) {
      this.#dsa.reset();
      throw error;
    }
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#checkIdle("memcpyStart");
    checkInteger("memcpyStart", "size", size, this.limits.minMemcpySize, this.limits.maxMemcpySize);
    checkInteger("memcpyStart", "count", count, 1, this.limits.maxMemcpyCount);
    this.#repair();
    this.#descriptors.clearRecords();
    if (count === 1) this.#startOne(source, destination, size);
    else this.#startBatches(source, destination, size, count);
  }

  memcpyWait({ timeoutMs = DEFAULT_WAIT_MS }: { timeoutMs?: number } = {}): void {
    if (this.#awaited.length === 0) throw this.#stateError("memcpyWait", "no copy is in progress");
    this.#wait("memcpyWait", timeoutMs);
  }

  sendMsi(): void {
    this.#checkIdle("sendMsi");
    this.#repair();
    this.#descriptors.clearRecords();
    const flags = Flag.completionAddressValid | Flag.requestCompletionRecord | Flag.requestCompletionInterrupt;
    const source = this.#region.iovaOf(Layout.msiSource);
    const destination = this.#region.iovaOf(Layout.msiDestination);
    this.#descriptors.writeCopies({ source, destination, size: 8, flags, vector: MSI_VECTOR }, 1);
    this.#submit(Layout.copies, Layout.copyRecord);
    this.#wait("sendMsi", MSI_TIMEOUT_MS);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#awaited = [];
    try {
      this.#dsa.reset();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  #startOne(source: bigint, destination: bigint, size: number): void {
    const flags = Flag.completionAddressValid | Flag.requestCompletionRecord | this.#dsa.capabilities.readback;
    this.#descriptors.writeCopies({ source, destination, size, flags, vector: 0 }, 1);
    this.#submit(Layout.copies, Layout.copyRecord);
  }

  /** Every batch lists the same descriptors; of its members only those that fail write the record they share. */
  #startBatches(source: bigint, destination: bigint, size: number, count: number): void {
    const flags = Flag.completionAddressValid | this.#dsa.capabilities.readback;
    const copies = Math.min(count, this.#copiesPerBatch);
    this.#descriptors.writeCopies({ source, destination, size, flags, vector: 0 }, copies);
    let left = count;
    for (let index = 0; left > 0; index++) {
      let members = Math.min(left, this.#copiesPerBatch);
      // A batch has at least two members.
      if (left - members === 1) members--;
      const offset = this.#descriptors.writeBatch(index, members);
      this.#submit(offset, Layout.batchRecords + index * RECORD_BYTES);
      left -= members;
    }
  }

  #submit(descriptor: number, record: number): void {
    this.#awaited.push(record);
    this.#dsa.submit(this.#descriptors.bytes, descriptor);
  }

  /** Until every awaited record is there. Whatever happens, no DMA is left afterwards. */
  #wait(operation: string, timeoutMs: number): void {
    const records = this.#awaited;
    let next = 0;
    let trouble: string | undefined;
    let lookAt = performance.now() + TROUBLE_INTERVAL_MS;
    const done = (): boolean => {
      while (next < records.length && this.#descriptors.status(records[next] as number) !== 0) next++;
      if (next === records.length) return true;
      const now = performance.now();
      if (now < lookAt) return false;
      trouble = this.#dsa.trouble();
      lookAt = performance.now() + TROUBLE_INTERVAL_MS;
      return trouble !== undefined;
    };
    try {
      pollUntil(done, {
        timeoutMs,
        what: `${operation} to complete`,
        subject: this.#device.address,
        state: () => `${records.length - next} of ${records.length} descriptors not completed, ${this.#dsa.state()}`,
      });
    } catch (error) {
      this.#awaited = [];
      throw this.#afterRecovery(error);
    }
    this.#awaited = [];
    if (next < records.length) throw this.#afterRecovery(this.#error(operation, "EIO", trouble ?? "unknown"));
    this.#throwFirstFailure(operation, records);
  }

  /** The device has ended all work; it goes on working after a descriptor that failed (section 3.9). */
  #throwFirstFailure(operation: string, records: readonly number[]): void {
    const failed = records.find((offset) => this.#descriptors.status(offset) !== Status.success);
    if (failed === undefined) return;
    const member = this.#descriptors.record(Layout.copyRecord);
    const isBatch = failed !== Layout.copyRecord;
    const record = isBatch && member.status !== 0 ? member : this.#descriptors.record(failed);
    const where = isBatch ? `batch ${records.indexOf(failed) + 1} of ${records.length}: ` : "";
    const { code, text } = describe(record);
    const error = this.#error(operation, code, `${where}${text}; ${this.#dsa.state()}`);
    if (this.#dsa.ready) this.#dsa.clearError();
    else throw this.#afterRecovery(error);
    throw error;
  }

  /** Stops the device and brings it up again; gives the error that was the reason. */
  #afterRecovery(error: unknown): unknown {
    this.#broken = true;
    try {
      this.#repair();
    } catch (cause) {
      // The first error is what the caller asked about; the next descriptor tells if the device is still broken.
      if (error instanceof VfioError) error.message += `\n  Recovery failed: ${String(cause)}`;
    }
    return error;
  }

  #repair(): void {
    if (!this.#broken) return;
    this.#dsa.bringUp();
    this.#broken = false;
  }

  #checkIdle(operation: string): void {
    if (this.#removed) throw closedError(operation, `driver dsa on ${this.#device.address}`);
    if (this.#awaited.length > 0) throw this.#stateError(operation, "a copy is in progress");
  }

  #stateError(operation: string, state: string): VfioError {
    return new VfioError(`dsa ${operation} on ${this.#device.address}: ${state}`, {
      code: "ERR_INVALID_STATE",
      operation,
      subject: this.#device.address,
    });
  }

  #error(operation: string, code: string, text: string): VfioError {
    return new VfioError(`dsa ${operation} on ${this.#device.address} failed: ${text}`, {
      code,
      operation,
      subject: this.#device.address,
    });
  }
}

/** A failed completion record in words. Fault address and bytes completed mean something for page faults only. */
function describe({ status, completed, faultAddress }: CompletionRecord): { code: string; text: string } {
  const operationStatus = status & STATUS_MASK;
  const isFault = operationStatus === Status.pageFault || operationStatus === Status.batchPageFault;
  if (!isFault) return { code: "EIO", text: `status ${statusName(operationStatus)}` };
  const access = (status & STATUS_WRITE_FAULT) === 0 ? "read" : "write";
  const fault = `${access} of 0x${faultAddress.toString(16)} after ${completed} bytes`;
  return { code: "EFAULT", text: `status ${statusName(operationStatus)}: ${fault}` };
}
