import { type DmaRegion, type PciDevice, VfioError, type VfioErrorCode } from "@vfio-selftests/core";
import {
  BoundedWait,
  type CompletionInterrupt,
  DEFAULT_WAIT_MS,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  Recovery,
} from "@vfio-selftests/core/driver";
import { needsInterruptHandles } from "./capabilities";
import { type CompletionRecord, Descriptors } from "./descriptors";
import { DsaDevice } from "./dsa-device";
import { statusName } from "./error-names";
import { NAMED_REGISTERS } from "./named-registers";
import { checkPortal, portalRefusal, type Processor, thisProcessor } from "./portal-stores";
import { Layout, MAX_BATCHES, MAX_COPIES_PER_BATCH } from "./region-layout";
import { Flag, PORTALS_BAR, RECORD_BYTES, REGISTERS_BAR, Status, STATUS_MASK, STATUS_WRITE_FAULT } from "./registers";

const VENDOR_INTEL = 0x8086;
/** Sapphire Rapids and Emerald Rapids, Diamond Rapids, Granite Rapids D. */
const DEVICES = [0x0b25, 0x1212, 0x11fb];

/** Vector 0 reports errors and commands. */
const MSI_VECTOR = 1;
/** The vector of a copy's end, where the device has more than two. */
const COMPLETION_VECTOR = 2;
const MSI_BYTES = 8;
const MSI_TIMEOUT_MS = 2000;

/** How often to look at the registers while a copy runs: often enough for people, seldom enough for the device. */
const TROUBLE_INTERVAL_MS = 10;

/** Flags of every descriptor whose completion the driver awaits. */
const RECORDED = Flag.completionAddressValid | Flag.requestCompletionRecord;

/** The driver for a given processor. */
export function dsaDriverOn(processor: Processor): Driver {
  return {
    name: "dsa",
    ids: DEVICES.map((device) => ({ vendor: VENDOR_INTEL, device })),
    probe: (device) => {
      const missing = [REGISTERS_BAR, PORTALS_BAR].find((index) => device.bars[index]?.size === 0);
      if (missing !== undefined) return `BAR ${missing} is not implemented`;
      if (needsInterruptHandles(device)) {
        return "it hands out interrupt handles by command (CMDCAP bit 13), as virtual devices do; this driver uses none";
      }
      return portalRefusal(device, processor) ?? true;
    },
    regionSize: Layout.size,
    registers: NAMED_REGISTERS,
    create: (device, region) => {
      checkPortal(device, processor);
      return new DsaInstance(device, region);
    },
  };
}

/** Intel Data Streaming Accelerator. */
export const dsaDriver: Driver = dsaDriverOn(thisProcessor);

class DsaInstance implements DriverInstance {
  readonly limits: DriverLimits;
  readonly msiVector = MSI_VECTOR;
  readonly completion?: CompletionInterrupt;
  readonly #device: PciDevice;
  readonly #dsa: DsaDevice;
  readonly #descriptors: Descriptors;
  readonly #msiSource: bigint;
  readonly #msiDestination: bigint;
  readonly #copiesPerBatch: number;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  /** Offset of the copy's first completion record, and how many records follow each other from there. */
  #firstRecord: number = Layout.copyRecord;
  #awaited = 0;
  /** How many records the driver has seen, from the first. */
  #seen = 0;
  /** When to look at the registers again, and what they said last. */
  #lookAt = 0;
  #trouble: string | undefined;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    this.#msiSource = region.iovaOf(Layout.msiSource);
    this.#msiDestination = region.iovaOf(Layout.msiDestination);
    this.#descriptors = new Descriptors(region);
    this.#dsa = new DsaDevice(device);
    this.#recovery = new Recovery(() => this.#dsa.bringUp());
    const { maximumTransferShift, maximumBatchShift, totalWorkQueueSize } = this.#dsa.capabilities;
    this.#copiesPerBatch = Math.min(2 ** maximumBatchShift, MAX_COPIES_PER_BATCH);
    this.limits = {
      minMemcpySize: 1,
      maxMemcpySize: 2 ** maximumTransferShift,
      // Each batch takes an entry of the work queue.
      maxMemcpyCount: this.#copiesPerBatch * Math.min(totalWorkQueueSize, MAX_BATCHES),
      alignment: 1,
    };
    this.#end = new BoundedWait(() => this.memcpyEnded(), {
      what: "the descriptors to complete",
      subject: device.address,
      state: () => `${this.#awaited - this.#seen} of ${this.#awaited} descriptors not completed, ${this.#dsa.state()}`,
    });
    const { msix } = device.interrupts;
    const interruptsCompletion = msix.count > COMPLETION_VECTOR;
    if (interruptsCompletion) {
      this.completion = {
        vector: COMPLETION_VECTOR,
        start: (source, destination, size) => {
          const { readback } = this.#dsa.capabilities;
          this.#startInterrupting(source, destination, size, readback, COMPLETION_VECTOR);
        },
      };
    }
    try {
      msix.enable(MSI_VECTOR, interruptsCompletion ? 2 : 1);
    } catch (error) {
      this.#dsa.reset();
      throw error;
    }
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#prepare();
    const { readback } = this.#dsa.capabilities;
    if (count === 1) {
      this.#descriptors.writeCopy(source, destination, size, RECORDED | readback, 0);
      this.#submit(Layout.copies);
      return;
    }
    // Only a member that fails writes the record that a batch's members share.
    this.#descriptors.writeCopy(source, destination, size, Flag.completionAddressValid | readback, 0);
    this.#submitBatches(count);
  }

  /** Whether every record is there, or the registers tell why one will not come. */
  memcpyEnded(): boolean {
    while (this.#seen < this.#awaited && this.#descriptors.status(this.#record(this.#seen)) !== 0) this.#seen++;
    if (this.#seen === this.#awaited || this.#trouble !== undefined) return true;
    if (performance.now() < this.#lookAt) return false;
    this.#trouble = this.#dsa.trouble();
    this.#lookAt = performance.now() + TROUBLE_INTERVAL_MS;
    return this.#trouble !== undefined;
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    this.#wait("memcpyWait", options?.timeoutMs ?? DEFAULT_WAIT_MS);
  }

  sendMsi(): void {
    this.#startInterrupting(this.#msiSource, this.#msiDestination, MSI_BYTES, 0, MSI_VECTOR);
    this.#wait("sendMsi", MSI_TIMEOUT_MS);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#dsa.reset();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  #startInterrupting(source: bigint, destination: bigint, size: number, readback: number, vector: number): void {
    this.#prepare();
    const flags = RECORDED | Flag.requestCompletionInterrupt | readback;
    this.#descriptors.writeCopy(source, destination, size, flags, vector);
    this.#submit(Layout.copies);
  }

  #prepare(): void {
    this.#recovery.retry();
    this.#descriptors.clearRecords();
    this.#firstRecord = Layout.copyRecord;
    this.#awaited = 0;
    this.#seen = 0;
    this.#trouble = undefined;
    this.#lookAt = performance.now() + TROUBLE_INTERVAL_MS;
  }

  /** Submits batches. All of them list the same descriptors. */
  #submitBatches(count: number): void {
    this.#descriptors.repeatCopy(Math.min(count, this.#copiesPerBatch));
    this.#firstRecord = Layout.batchRecords;
    let left = count;
    for (let index = 0; left > 0; index++) {
      let members = Math.min(left, this.#copiesPerBatch);
      // A batch has at least two members.
      if (left - members === 1) members--;
      this.#submit(this.#descriptors.writeBatch(index, members));
      left -= members;
    }
  }

  #submit(descriptor: number): void {
    this.#awaited++;
    this.#dsa.submit(this.#descriptors.bytes, descriptor);
  }

  #record(index: number): number {
    return this.#firstRecord + index * RECORD_BYTES;
  }

  /** Waits until every awaited record is there. No DMA is left afterwards, whatever happens. */
  #wait(operation: string, timeoutMs: number): void {
    try {
      this.#end.wait(timeoutMs);
    } catch (error) {
      throw this.#recovery.after(error);
    }
    if (this.#trouble !== undefined) throw this.#recovery.after(this.#error(operation, "EIO", this.#trouble));
    for (let index = 0; index < this.#awaited; index++) {
      if (this.#descriptors.status(this.#record(index)) !== Status.success) this.#throwFailure(operation, index);
    }
  }

  /** The device has ended all work, and goes on after a failed descriptor (section 3.9). */
  #throwFailure(operation: string, index: number): never {
    const member = this.#descriptors.record(Layout.copyRecord);
    const isBatch = this.#firstRecord !== Layout.copyRecord;
    const record = isBatch && member.status !== 0 ? member : this.#descriptors.record(this.#record(index));
    const where = isBatch ? `batch ${index + 1} of ${this.#awaited}: ` : "";
    const { code, text } = describe(record);
    const error = this.#error(operation, code, `${where}${text}; ${this.#dsa.state()}`);
    if (!this.#dsa.ready) throw this.#recovery.after(error);
    this.#dsa.clearError();
    throw error;
  }

  #error(operation: string, code: VfioErrorCode, text: string): VfioError {
    return new VfioError(`dsa ${operation} on ${this.#device.address} failed: ${text}`, {
      code,
      operation,
      subject: this.#device.address,
    });
  }
}

/** A failed completion record in words. Fault address and bytes completed mean something for page faults only. */
function describe({ status, completed, faultAddress }: CompletionRecord): { code: VfioErrorCode; text: string } {
  const operationStatus = status & STATUS_MASK;
  const isFault = operationStatus === Status.pageFault || operationStatus === Status.batchPageFault;
  if (!isFault) return { code: "EIO", text: `status ${statusName(operationStatus)}` };
  const access = (status & STATUS_WRITE_FAULT) === 0 ? "read" : "write";
  const fault = `${access} of 0x${faultAddress.toString(16)} after ${completed} bytes`;
  return { code: "EFAULT", text: `status ${statusName(operationStatus)}: ${fault}` };
}
