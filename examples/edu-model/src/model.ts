import { Command, RegisterFile } from "@vfio-selftests/device-models";
import {
  type DeviceHost,
  type DeviceModel,
  type DmaSpace,
  type ModelIrq,
  type ModelRegion,
  PciIrq,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import { ADDRESS_MASK, BAR0, BUFFER, CONFIG, DmaCommand, Interrupt, Status } from "./registers.js";

// #region model
/** What `model serve`, `-d model:PATH` and the lab ask a module for. */
export function createModel(): DeviceModel {
  return new EduModel();
}

class EduModel implements DeviceModel {
  readonly name = "edu";
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([[PciIrq.msix, { count: 1, maskable: true, noResize: true }]]);
  readonly #config = new RegisterFile(CONFIG);
  // #endregion model

  // #region hooks
  /** A register without a hook only holds its value. */
  readonly #bar0: RegisterFile<(typeof BAR0)["declarations"]> = new RegisterFile(BAR0, {
    LIVENESS: {
      afterWrite: (written) => {
        this.#bar0.registers.LIVENESS.value = ~written;
      },
    },
    FACTORIAL: {
      writable: () => (this.#bar0.registers.STATUS.value & Status.computing) === 0,
      afterWrite: () => {
        this.#bar0.registers.STATUS.value |= Status.computing;
      },
    },
    INTERRUPT_RAISE: { afterWrite: (written) => this.#raiseInterrupt(written) },
    INTERRUPT_ACKNOWLEDGE: {
      afterWrite: (written) => {
        this.#bar0.registers.INTERRUPT_STATUS.value &= ~written;
      },
    },
  });
  // #endregion hooks

  // #region regions
  readonly regions: ReadonlyMap<number, ModelRegion> = new Map<number, ModelRegion>([
    [PciRegion.config, this.#config],
    [PciRegion.bar0, this.#bar0],
  ]);
  readonly #buffer = new Uint8Array(BUFFER.bytes);
  #host: DeviceHost | undefined;

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** VFIO's reset. Config space stays: vfio-pci saves and restores it. */
  reset(): void {
    this.#bar0.reset();
    this.#buffer.fill(0);
  }
  // #endregion regions

  // #region step
  /** The work that takes time: after each message, and again while it returns true. */
  step(): boolean {
    const { STATUS, DMA_COMMAND } = this.#bar0.registers;
    if ((STATUS.value & Status.computing) !== 0) this.#computeFactorial();
    const mayUseMemory = (this.#config.registers.COMMAND.value & Command.busMaster) !== 0;
    const dma = this.#host?.dma;
    if (dma !== undefined && mayUseMemory && (DMA_COMMAND.low & DmaCommand.start) !== 0) this.#transfer(dma);
    return false;
  }
  // #endregion step

  #computeFactorial(): void {
    const { FACTORIAL, STATUS } = this.#bar0.registers;
    let result = 1;
    for (let factor = 2; factor <= FACTORIAL.value && result !== 0; factor++) result = Math.imul(result, factor);
    FACTORIAL.value = result;
    STATUS.value &= ~Status.computing;
    if ((STATUS.value & Status.interruptWhenDone) !== 0) this.#raiseInterrupt(Interrupt.factorial);
  }

  // #region dma
  /** QEMU's device reports no fault, and ends a refused transfer as any other. */
  #transfer(dma: DmaSpace): void {
    const { DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND } = this.#bar0.registers;
    const toMemory = (DMA_COMMAND.low & DmaCommand.toMemory) !== 0;
    const [inside, outside] = toMemory ? [DMA_SOURCE, DMA_DESTINATION] : [DMA_DESTINATION, DMA_SOURCE];
    const start = Number(inside.value) - BUFFER.address;
    const fits = start >= 0 && start + Number(DMA_COUNT.value) <= BUFFER.bytes;
    if (fits) {
      const bytes = this.#buffer.subarray(start, start + Number(DMA_COUNT.value));
      const address = outside.value & ADDRESS_MASK;
      const fault = toMemory ? dma.write(address, bytes) : dma.read(address, bytes);
      // The device was reset while memory was asked for. What it holds now is not this transfer's.
      if (fault?.reason === "aborted") return;
    }
    DMA_COMMAND.low &= ~DmaCommand.start;
    if ((DMA_COMMAND.low & DmaCommand.interruptWhenDone) !== 0) this.#raiseInterrupt(Interrupt.dma);
  }
  // #endregion dma

  // #region interrupt
  /** A message each time, also for a cause that is set already (edu_raise_irq in QEMU's hw/misc/edu.c). */
  #raiseInterrupt(causes: number): void {
    const { INTERRUPT_STATUS } = this.#bar0.registers;
    INTERRUPT_STATUS.value |= causes;
    if (INTERRUPT_STATUS.value !== 0) this.#host?.raiseInterrupt(PciIrq.msix, 0);
  }
  // #endregion interrupt
}
