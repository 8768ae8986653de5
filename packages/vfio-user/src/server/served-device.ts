import { constants } from "node:os";
import { VFIO_DEVICE_STATE_ERROR } from "@vfio-selftests/core/uapi";
import type { DeviceHost, DeviceModel } from "./device-model";
import { DmaMaps } from "./dma/dma-maps";
import { ClientDmaSpace } from "./dma/dma-space";
import { MigrationMachine } from "./migration/migration-machine";
import { IrqTable } from "./session/irq-table";

const { EIO } = constants.errno;

/** What the server may do for its clients, and who hears of a model's errors. */
export interface ServedDeviceOptions {
  /**
   * Map even memory that its client could truncate. Such a client can end this process by SIGBUS, so use it only for
   * trusted clients. Default false: the server reaches that memory by system calls.
   */
  readonly trustClients?: boolean;
  /** Called with the error of a model's callback. Default: write it to stderr. */
  readonly onModelError?: (error: unknown, during: string) => void;
}

/** A model with what a server keeps for it: the client's maps and interrupts. It outlives clients. */
export class ServedDevice implements DeviceHost {
  /** The device itself. */
  readonly model: DeviceModel;
  /** The client's memory maps. */
  readonly maps: DmaMaps;
  /** The client's eventfds, and what is masked. */
  readonly irqs: IrqTable;
  /** The client's memory, as the device sees it. */
  readonly dma: ClientDmaSpace;
  /** Undefined: the device cannot move. */
  readonly migration: MigrationMachine | undefined;
  /** How many resets there were. A wait for a client's answer sees by it that its operation is void. */
  resets = 0;
  readonly #onModelError: (error: unknown, during: string) => void;

  /** Owns the model from now on. `options` say who hears of its errors. */
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
    const { migration } = model;
    this.migration =
      migration === undefined
        ? undefined
        : new MigrationMachine(model.name, migration, this.irqs, (during, callback) => this.guard(during, callback));
    model.attach(this);
  }

  raiseInterrupt(index: number, vector: number): "raised" | "pending" | "unconnected" {
    return this.irqs.raise(index, vector);
  }

  interruptConnected(index: number, vector: number): boolean {
    return this.irqs.connected(index, vector);
  }

  /** Runs a callback of the model. False if it throws. */
  guard(during: string, callback: () => void): boolean {
    try {
      callback();
      return true;
    } catch (error) {
      this.#onModelError(error, during);
      return false;
    }
  }

  /** Reports that a region's callback threw. Returns `-EIO`. */
  failed(error: unknown, during: string): number {
    this.#onModelError(error, during);
    return -EIO;
  }

  /** Does one slice of the model's work. Returns whether there is more. A stopped device does nothing. */
  step(): boolean {
    if (this.migration?.stopped === true) return false;
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

  /** VFIO's reset: the model's, and pending interrupts are dropped. False if the model threw. */
  reset(): boolean {
    this.resets += 1;
    this.irqs.forgetPending();
    this.migration?.reset();
    return this.guard("reset", () => this.model.reset());
  }

  /**
   * The client has gone. Drops everything that was its own, and keeps the model's state. A migration was the client's,
   * too: the device runs again, like a device file that is opened anew. One that had failed is reset.
   */
  clientGone(): void {
    if (this.migration?.state === VFIO_DEVICE_STATE_ERROR) this.reset();
    this.migration?.reset();
    this.dma.log = undefined;
    this.dma.peer = undefined;
    this.maps.clear();
    this.irqs.clear();
    this.guard("clientGone", () => this.model.clientGone?.());
  }

  /** Closes the model. An error of the model's is reported, not thrown. */
  close(): void {
    this.guard("close", () => this.model.close?.());
  }
}
