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
  type DmaFault,
  type ModelRegion,
  PciIrq,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import {
  BAR0_SIZE,
  Control,
  DEVICE_ID,
  MAX_COUNT,
  MAX_SIZE,
  MSIX_PENDING_BITS,
  MSIX_TABLE,
  Reg,
  Status,
  VECTOR,
  VENDOR_ID,
  VERSION,
} from "./registers.js";

const ALL = 0xffff_ffff;
const ALL64 = 0xffff_ffff_ffff_ffffn;
/** Bytes of one step. Between two steps the device answers registers, so that software can stop a copy of any length. */
const SLICE = 256 * 1024;

const BAR0 = registerMap("__DRIVER_NAME__ BAR 0", BAR0_SIZE, {
  VERSION: { offset: Reg.version, bytes: 4, reset: VERSION },
  CONTROL: { offset: Reg.control, bytes: 4 },
  STATUS: { offset: Reg.status, bytes: 4 },
  SIZE: { offset: Reg.size, bytes: 4, readWrite: ALL },
  SOURCE: { offset: Reg.source, bytes: 8, readWrite: ALL64 },
  DESTINATION: { offset: Reg.destination, bytes: 8, readWrite: ALL64 },
  COUNT: { offset: Reg.count, bytes: 4, readWrite: ALL },
  FAULT_ADDRESS: { offset: Reg.faultAddress, bytes: 8 },
  ...msixTableRegisters(MSIX_TABLE, 1),
});

const CONFIG = configSpace("__DRIVER_NAME__ config", {
  header: {
    vendor: VENDOR_ID,
    device: DEVICE_ID,
    classCode: 0x088000,
    bars: [{ index: 0, bytes: BAR0_SIZE, width: 64 }],
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

/** The server's thread calls it, for `vfio-selftests run`, `model serve` and the tests. */
export function createModel(): DeviceModel {
  return new CopyEngineModel();
}

/** A copy under way. */
interface Copy {
  readonly source: bigint;
  readonly destination: bigint;
  readonly size: number;
  readonly interruptAtEnd: boolean;
  /** Repeats that are left, and bytes done of the present one. */
  count: number;
  done: number;
}

/** The device in software: what happens when a driver touches its registers. */
class CopyEngineModel implements DeviceModel {
  readonly name = "__DRIVER_NAME__";
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
  readonly #buffer = new Uint8Array(SLICE);
  #host: DeviceHost | undefined;
  #copy: Copy | undefined;

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
    this.#copy = undefined;
    this.#bar0.reset();
  }

  /** Copies one slice. True while there is more to do. */
  step(): boolean {
    const copy = this.#copy;
    const mayCopy = (this.#config.registers.COMMAND.value & Command.busMaster) !== 0;
    if (copy === undefined || this.#host === undefined || !mayCopy) return false;
    const { dma } = this.#host;
    const bytes = this.#buffer.subarray(0, Math.min(SLICE, copy.size - copy.done));
    const offset = BigInt(copy.done);
    const readFault = dma.read(copy.source + offset, bytes);
    // The driver may have reset the device while it waited for memory.
    if (this.#copy !== copy) return false;
    const fault = readFault ?? dma.write(copy.destination + offset, bytes);
    if (this.#copy !== copy) return false;
    if (fault !== undefined) return this.#fail(fault);
    copy.done += bytes.length;
    if (copy.done < copy.size) return true;
    copy.done = 0;
    copy.count--;
    if (copy.count > 0) return true;
    this.#end(copy, 0);
    return false;
  }

  clientGone(): void {
    this.#copy = undefined;
  }

  #control(written: number): void {
    if ((written & Control.reset) !== 0) this.reset();
    if ((written & Control.interruptNow) !== 0) this.#interrupt();
    if ((written & Control.start) !== 0) this.#start((written & Control.interruptAtEnd) !== 0);
  }

  #start(interruptAtEnd: boolean): void {
    const { SOURCE, DESTINATION, SIZE, COUNT, STATUS } = this.#bar0.registers;
    const [size, count] = [SIZE.value, COUNT.value];
    const isCopy = size > 0 && size <= MAX_SIZE && count > 0 && count <= MAX_COUNT;
    // A device ignores what it does not understand.
    if (this.#copy !== undefined || !isCopy) return;
    STATUS.value = Status.busy;
    this.#copy = { source: SOURCE.value, destination: DESTINATION.value, size, interruptAtEnd, count, done: 0 };
  }

  #fail({ access, iova, reason }: DmaFault): false {
    // Somebody has reset the device, or the client has gone: there is nobody to report to.
    if (reason === "aborted" || this.#copy === undefined) return false;
    this.#bar0.registers.FAULT_ADDRESS.value = iova;
    this.#end(this.#copy, access === "read" ? Status.readFault : Status.writeFault);
    return false;
  }

  #end({ interruptAtEnd }: Copy, status: number): void {
    this.#copy = undefined;
    this.#bar0.registers.STATUS.value = status;
    if (interruptAtEnd) this.#interrupt();
  }

  #interrupt(): void {
    this.#host?.raiseInterrupt(PciIrq.msix, VECTOR);
  }
}
