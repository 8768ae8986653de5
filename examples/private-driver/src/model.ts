import {
  Command,
  configSpace,
  INITIATE_FUNCTION_LEVEL_RESET,
  msix,
  msixTableRegisters,
  PcieType,
  pciExpress,
  RegisterFile,
  registerMap,
} from "@vfio-selftests/device-models";
import {
  type DeviceHost,
  type DeviceModel,
  type DmaSpace,
  type ModelRegion,
  PciIrq,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import {
  Control,
  CONTROL_EVENTS,
  Control2,
  Descriptor,
  DEVICE_ID,
  Flag,
  Interrupt,
  Reg,
  Result,
  SIZE_MASK,
  VENDOR_ID,
} from "./registers.js";

const BAR0_SIZE = 0x4000;
const MSIX_TABLE = 0x2000;
const MSIX_PENDING_BITS = 0x3000;
const ALL = 0xffff_ffff;
/** Bytes of one step. Between two steps the device answers registers, so that software can stop a copy of any length. */
const SLICE = 256 * 1024;

// #region declarations
const BAR0 = registerMap("plx-dma BAR 0", BAR0_SIZE, {
  RING_ADDRESS: { offset: Reg.ringAddress, bytes: 4, readWrite: ALL },
  RING_ADDRESS_HIGH: { offset: Reg.ringAddressHigh, bytes: 4, readWrite: ALL },
  RING_NEXT: { offset: Reg.ringNext, bytes: 4, readWrite: ALL },
  RING_COUNT: { offset: Reg.ringCount, bytes: 4, readWrite: ALL },
  PREFETCH_LIMIT: { offset: Reg.prefetchLimit, bytes: 4, readWrite: 0xff },
  CONTROL: {
    offset: Reg.control,
    bytes: 2,
    readWrite: Control.writeBack | Control.offChip,
    writeOneToClear: CONTROL_EVENTS,
  },
  CONTROL2: { offset: Reg.control2, bytes: 2 },
  INTERRUPT_STATUS: {
    offset: Reg.interruptStatus,
    bytes: 2,
    writeOneToClear: Interrupt.error | Interrupt.invalidDescriptor | Interrupt.descriptorDone,
  },
  ...msixTableRegisters(MSIX_TABLE, 1),
});
// #endregion declarations

const CONFIG = configSpace("plx-dma config", {
  header: {
    vendor: VENDOR_ID,
    device: DEVICE_ID,
    classCode: 0x088000,
    bars: [{ index: 0, bytes: BAR0_SIZE, width: 32 }],
  },
  capabilities: [
    msix(0x40, {
      vectors: 1,
      table: { bar: 0, offset: MSIX_TABLE },
      pendingBits: { bar: 0, offset: MSIX_PENDING_BITS },
    }),
    pciExpress(0x50, { type: PcieType.endpoint }),
  ],
  extended: [],
  registers: {},
});

export function createModel(): DeviceModel {
  return new PlxDmaModel();
}

/** A valid descriptor at which the device works. */
interface Work {
  readonly at: bigint;
  readonly source: bigint;
  readonly destination: bigint;
  readonly size: number;
  readonly interruptWhenDone: boolean;
  done: number;
}

class PlxDmaModel implements DeviceModel {
  readonly name = "plx-dma";
  readonly irqs = new Map([[PciIrq.msix, { count: 1, maskable: true, noResize: true }]]);
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly #bar0 = new RegisterFile(BAR0, { CONTROL: { afterWrite: (written) => this.#control(written) } });
  readonly #config = new RegisterFile(CONFIG, {
    PCIE_DEVICE_CONTROL: {
      afterWrite: (written) => {
        if ((written & INITIATE_FUNCTION_LEVEL_RESET) === 0) return;
        this.reset();
        this.#config.reset();
      },
    },
  });
  readonly #data = new Uint8Array(SLICE);
  readonly #words = new Uint32Array(Descriptor.words);
  readonly #descriptor = new Uint8Array(this.#words.buffer);
  #host: DeviceHost | undefined;
  /** Changes at each start and stop: a step that has waited for memory sees that its work is no longer wanted. */
  #run = 0;
  #work: Work | undefined;

  constructor() {
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, this.#bar0],
      [PciRegion.config, this.#config],
    ]);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#stop();
    this.#bar0.reset();
  }

  clientGone(): void {
    this.#stop();
  }

  // #region step
  /** Fetches a descriptor, or copies a slice. True while there is more to do. */
  step(): boolean {
    const mayUseMemory = (this.#config.registers.COMMAND.value & Command.busMaster) !== 0;
    if (this.#host === undefined || !this.#inProgress || !mayUseMemory) return false;
    const { dma } = this.#host;
    if (this.#work === undefined) this.#fetch(dma);
    else this.#copy(dma, this.#work);
    return this.#inProgress;
  }
  // #endregion step

  get #inProgress(): boolean {
    return (this.#bar0.registers.CONTROL2.value & Control2.inProgress) !== 0;
  }

  #control(written: number): void {
    if ((written & Control.abort) !== 0) {
      this.#stop();
      this.#bar0.registers.CONTROL.value |= Control.abortDone;
    } else if ((written & Control.start) !== 0 && !this.#inProgress) {
      this.#run++;
      this.#bar0.registers.CONTROL2.value |= Control2.inProgress;
    }
  }

  #stop(): void {
    this.#run++;
    this.#work = undefined;
    this.#bar0.registers.CONTROL2.value &= ~Control2.inProgress;
  }

  #fetch(dma: DmaSpace): void {
    const { CONTROL, RING_NEXT, RING_ADDRESS_HIGH } = this.#bar0.registers;
    const run = this.#run;
    const at = (BigInt(RING_ADDRESS_HIGH.value) << 32n) | BigInt(RING_NEXT.value);
    const fault = dma.read(at, this.#descriptor);
    if (run !== this.#run) return;
    const [flags = 0, high = 0, destinationLow = 0, sourceLow = 0] = this.#words;
    if (fault !== undefined) {
      this.#stop();
      this.#raise(Interrupt.error);
    } else if ((flags & Flag.valid) === 0) {
      this.#stop();
      CONTROL.value |= Control.invalidDescriptor;
      // The kernel's driver leaves the interrupt of this event off.
      this.#bar0.registers.INTERRUPT_STATUS.value |= Interrupt.invalidDescriptor;
    } else {
      this.#work = {
        at,
        source: (BigInt(high >>> 16) << 32n) | BigInt(sourceLow),
        destination: (BigInt(high & 0xffff) << 32n) | BigInt(destinationLow),
        size: flags & SIZE_MASK,
        interruptWhenDone: (flags & Flag.interruptWhenDone) !== 0,
        done: 0,
      };
    }
  }

  #copy(dma: DmaSpace, work: Work): void {
    const run = this.#run;
    const bytes = this.#data.subarray(0, Math.min(SLICE, work.size - work.done));
    const offset = BigInt(work.done);
    const unread = dma.read(work.source + offset, bytes);
    if (run !== this.#run) return;
    const fault = unread ?? dma.write(work.destination + offset, bytes);
    if (run !== this.#run) return;
    if (fault !== undefined) {
      this.#finish(dma, work, fault.access === "read" ? Result.readFailed : Result.writeFailed);
      return;
    }
    work.done += bytes.length;
    if (work.done === work.size) this.#finish(dma, work, Result.success);
  }

  /** Writes the descriptor back, and goes on to the next one whatever became of this. */
  #finish(dma: DmaSpace, work: Work, result: number): void {
    const { RING_ADDRESS, RING_NEXT, RING_COUNT } = this.#bar0.registers;
    const run = this.#run;
    this.#work = undefined;
    const end = RING_ADDRESS.value + RING_COUNT.value * Descriptor.bytes;
    const next = RING_NEXT.value + Descriptor.bytes;
    RING_NEXT.value = next >= end ? RING_ADDRESS.value : next;
    this.#words[Descriptor.flagsAndSize] = work.done | result;
    const fault = dma.write(work.at, this.#descriptor.subarray(0, 4));
    if (run !== this.#run) return;
    if (fault !== undefined) {
      this.#stop();
      this.#raise(Interrupt.error);
    } else if (work.interruptWhenDone) {
      this.#raise(Interrupt.descriptorDone);
    }
  }

  /** An event interrupts when it was not pending yet. */
  #raise(event: number): void {
    const { INTERRUPT_STATUS } = this.#bar0.registers;
    const wasPending = (INTERRUPT_STATUS.value & event) !== 0;
    INTERRUPT_STATUS.value |= event;
    if (!wasPending) this.#host?.raiseInterrupt(PciIrq.msix, 0);
  }
}
