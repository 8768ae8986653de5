import { performance } from "node:perf_hooks";
import {
  type DeviceHost,
  type DeviceModel,
  type ModelIrq,
  type ModelMigration,
  type ModelRegion,
  PciIrq,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import { INITIATE_FUNCTION_LEVEL_RESET } from "../config-space/index";
import { StateReader, StateWriter } from "../migration/state-bytes";
import { RegisterFile } from "../registers/index";
import { Channel } from "./channel/channel";
import { Interrupts } from "./interrupts";
import { type Bar0, Chanctrl, IOAT_BAR0 } from "./registers/bar0";
import { type Config, IOAT_CONFIG } from "./registers/config-space";

/** What a test replaces in the model. */
export interface IoatModelOptions {
  /** Clock in milliseconds, for INTRDELAY and for the length of a step. Default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Intel I/OAT (QuickData, CBDMA) of a Skylake Xeon: 8086:2021, version 3.3, one channel. docs/ioat.md lists what the
 * model has of the device.
 */
export class IoatModel implements DeviceModel {
  readonly name = "ioat";
  /** The registers' state, for tests that set up what software cannot. */
  readonly bar0: Bar0;
  /** Configuration space, for tests. */
  readonly config: Config;
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([
    [PciIrq.intx, { count: 1, maskable: true, autoMasked: true }],
    [PciIrq.msix, { count: 1, maskable: true, noResize: true }],
  ]);

  /** A stopped device may be in the middle of a descriptor: it saves how far it has come. */
  readonly migration: ModelMigration = {
    version: 1,
    save: () => {
      const state = new StateWriter();
      this.#channel.refresh();
      for (const part of this.#parts()) part.save(state);
      return state.finish();
    },
    load: (bytes) => {
      const state = new StateReader(bytes);
      for (const part of this.#parts()) part.load(state);
      state.finish();
    },
  };

  readonly #channel: Channel;
  readonly #interrupts: Interrupts;
  #host: DeviceHost | undefined;

  /** The device as it is after a reset. */
  constructor({ now = () => performance.now() }: IoatModelOptions = {}) {
    this.bar0 = new RegisterFile(IOAT_BAR0, {
      INTRCTRL: {
        afterRead: () => this.#interrupts.controlRead(),
        afterWrite: () => this.#interrupts.updateLine(),
      },
      ATTNSTATUS: { afterRead: () => this.#interrupts.updateLine() },
      CHANCTRL: { afterRead: (_, lanes) => this.#claim(lanes) },
      CHANCMD: { afterWrite: (written) => this.#channel.command(written) },
      DMACOUNT: { afterWrite: () => this.#channel.countWritten() },
      CHANSTS: { beforeRead: () => this.#channel.refresh() },
      CDAR: { beforeRead: () => this.#channel.refresh() },
      CHAINADDR: { afterWrite: () => this.#channel.chainAddressWritten() },
      CHANCMP: { afterWrite: () => this.#channel.completionAddressWritten() },
    });
    this.config = new RegisterFile(IOAT_CONFIG, {
      PCIE_DEVICE_CONTROL: {
        afterWrite: (written) => {
          if ((written & INITIATE_FUNCTION_LEVEL_RESET) !== 0) this.#functionLevelReset();
        },
      },
    });
    this.#interrupts = new Interrupts(this.bar0, this.config, now);
    this.#channel = new Channel(this.bar0, this.config, this.#interrupts, now);
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, this.bar0],
      [PciRegion.config, this.config],
    ]);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.#interrupts.attach(host);
  }

  /**
   * VFIO's reset. vfio-pci saves config space before a function level reset and restores it afterwards, so a client
   * finds it unchanged.
   */
  reset(): void {
    this.#channel.reset();
    this.bar0.reset({ keepSticky: true });
    this.#interrupts.reset();
  }

  step(): boolean {
    const dma = this.#host?.dma;
    if (dma === undefined) return false;
    const copying = this.#channel.run(dma);
    const interrupting = this.#interrupts.poll();
    return copying || interrupting;
  }

  clientGone(): void {
    this.#channel.abort();
    this.#interrupts.reset();
  }

  /** What the device is made of, in the order of its saved state. */
  #parts() {
    return [this.config, this.bar0, this.#channel, this.#interrupts];
  }

  /** Resets config space as well, except for sticky bits. */
  #functionLevelReset(): void {
    this.reset();
    this.config.reset({ keepSticky: true });
  }

  /** Software that reads In Use as 0 owns the channel. From then on the bit reads 1. */
  #claim(lanes: number): void {
    if ((lanes & IN_USE_LANE) !== 0) this.bar0.registers.CHANCTRL.value |= Chanctrl.inUse;
  }
}

/** In Use is in the second byte of CHANCTRL. */
const IN_USE_LANE = 0b10;
