import { constants } from "node:os";
import type { DeviceHost, DeviceModel } from "./device-model";
import { DmaMaps } from "./dma/dma-maps";
import { ClientDmaSpace } from "./dma/dma-space";
import { IrqTable } from "./session/irq-table";

const { EIO } = constants.errno;

export interface ServedDeviceOptions {
  /**
   * Map memory of clients that they could truncate, too. Such a client can end this process by SIGBUS: only for clients
   * one trusts. Default false: that memory is reached by messages.
   */
  readonly trustClients?: boolean;
  /** Told what a callback of the model threw. Default: written to stderr. */
  readonly onModelError?: (error: unknown, during: string) => void;
}

/** A model with what a server keeps for it: the client's maps and interrupts. Outlives clients. */
export class ServedDevice implements DeviceHost {
  readonly model: DeviceModel;
  readonly maps: DmaMaps;
  readonly irqs: IrqTable;
  readonly dma: ClientDmaSpace;
  /** Resets so far: who waits for a client's answer sees by it that its operation is void. */
  resets = 0;
  readonly #onModelError: (error: unknown, during: string) => void;

  constructor(model: DeviceModel, options: ServedDeviceOptions = {}) {
    this.model = model;
    this.maps = new DmaMaps(options.trustClients ?? false);
    this.irqs = new IrqTable(model.irqs);
    this.dma = new ClientDmaSpace(this.maps);
    this.#onModelError =
      options.onModelError ??
      ((error, during) => {
        process.stderr.write(`model ${model.name}: ${during} threw ${String(error)}\n`);
      });
    model.attach(this);
  }

  raiseInterrupt(index: number, vector: number): "raised" | "pending" | "unconnected" {
    return this.irqs.raise(index, vector);
  }

  interruptConnected(index: number, vector: number): boolean {
    return this.irqs.connected(index, vector);
  }

  /** Runs a callback of the model; false when it threw. */
  guard(during: string, callback: () => void): boolean {
    try {
      callback();
      return true;
    } catch (error) {
      this.#onModelError(error, during);
      return false;
    }
  }

  /** A region's callback threw: `-EIO`. */
  failed(error: unknown, during: string): number {
    this.#onModelError(error, during);
    return -EIO;
  }

  /** One slice of the model's work; whether there is more. */
  step(): boolean {
    this.maps.nextStep();
    this.dma.allowed = true;
    try {
      return this.model.step();
    } catch (error) {
      this.#onModelError(error, "step");
      return false;
    } finally {
      this.dma.allowed = false;
    }
  }

  reset(): boolean {
    this.resets += 1;
    this.irqs.forgetPending();
    return this.guard("reset", () => this.model.reset());
  }

  /** The client has gone: drops all that was its own; the model's state is kept. */
  clientGone(): void {
    this.dma.peer = undefined;
    this.maps.clear();
    this.irqs.clear();
    this.guard("clientGone", () => this.model.clientGone?.());
  }

  close(): void {
    this.guard("close", () => this.model.close?.());
  }
}
