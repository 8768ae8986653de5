import { performance } from "node:perf_hooks";
import {
  type DeviceHost,
  type DeviceModel,
  type DmaSpace,
  type ModelIrq,
  type ModelRegion,
  PciIrq,
  PciRegion,
} from "@vfio-selftests/vfio-user";
import { INITIATE_FUNCTION_LEVEL_RESET } from "../config-space/index";
import { type HooksOf, RegisterFile } from "../registers/index";
import { CommandProcessor } from "./commands/command-processor";
import { DmaAborted } from "./descriptors/device-memory";
import type { DeviceParts } from "./device-parts";
import { ErrorLog, SoftwareError } from "./error-log";
import { Interrupts } from "./interrupts";
import { Dispatcher } from "./queues/dispatcher";
import { Portals } from "./queues/portals";
import { WorkQueues } from "./queues/work-queues";
import { DeviceState, dsaRegisterMap, type DsaRegisters, ResetType, WorkQueueState } from "./registers/bar0";
import { DSA, type DsaOptions } from "./registers/capabilities";
import { type DsaConfigRegisters, dsaConfigSpace } from "./registers/config-space";
import { DeviceStatus } from "./registers/device-status";
import { PciControl } from "./registers/pci-control";

/** How long one step may take before the server looks for messages again, in milliseconds. */
const STEP_MS = 0.1;
/** Bytes copied between two looks at the clock: 20 to 200 us of copying. */
const PIECE_BYTES = 1024 * 1024;

/**
 * Intel Data Streaming Accelerator of the first generation: 8086:0b25, architecture version 1.0. docs/dsa.md lists what
 * the model has of the device, and draws the way of a descriptor through the parts that this class puts together.
 */
export class DsaModel implements DeviceModel {
  readonly name = "dsa";
  /** The registers' state, for tests that set up what software cannot. */
  readonly bar0: RegisterFile<DsaRegisters>;
  /** Configuration space, for tests. */
  readonly config: RegisterFile<DsaConfigRegisters>;
  /** BAR2. `enqueue` is ENQCMD, which vfio-user cannot carry. */
  readonly portals: Portals;
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([
    [PciIrq.msix, { count: DSA.msixVectors, maskable: true, noResize: true }],
  ]);

  readonly #parts: DeviceParts;
  readonly #workQueues: WorkQueues;
  readonly #dispatcher: Dispatcher;
  readonly #commands: CommandProcessor;
  readonly #now: () => number;
  #host: DeviceHost | undefined;

  /** The device as it is after a reset. */
  constructor(options: DsaOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.bar0 = new RegisterFile(dsaRegisterMap(options), this.#registerHooks());
    this.config = new RegisterFile(dsaConfigSpace(options), {
      COMMAND: { afterWrite: () => this.#busMasterWritten() },
      PCIE_DEVICE_CONTROL: {
        afterWrite: (written) => {
          if ((written & INITIATE_FUNCTION_LEVEL_RESET) !== 0) this.#functionLevelReset();
        },
      },
      // Changing translation under a running device is as wrong as taking bus mastering away.
      ATS_CONTROL: { afterWrite: () => this.#pciConfigurationChanged() },
      PASID_CONTROL: { afterWrite: () => this.#pciConfigurationChanged() },
    });
    const { registers } = this.bar0;
    const interrupts = new Interrupts(registers, options);
    this.#parts = {
      registers,
      status: new DeviceStatus(registers),
      pci: new PciControl(this.config, options),
      interrupts,
      errors: new ErrorLog(registers, interrupts),
    };
    this.#workQueues = new WorkQueues(this.#parts);
    this.#dispatcher = new Dispatcher(this.#workQueues, this.#parts);
    this.#commands = new CommandProcessor(this.bar0, options, this.#parts, this.#workQueues, this.#dispatcher);
    this.portals = new Portals(this.#workQueues);
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, this.bar0],
      [PciRegion.bar2, this.portals],
      [PciRegion.config, this.config],
    ]);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.#parts.interrupts.attach(host);
  }

  /** VFIO's reset: a function level reset, with config space saved before and restored afterwards. */
  reset(): void {
    this.#dropWork();
    this.#dispatcher.configure([]);
    this.#commands.reset();
    this.#parts.interrupts.reset();
    this.portals.reset();
    this.bar0.reset();
    this.#workQueues.reset();
  }

  step(): boolean {
    const dma = this.#host?.dma;
    if (dma === undefined) return false;
    const { drops } = this.#dispatcher;
    try {
      this.#commands.progress();
      if (this.#ready()) this.#work(dma);
      this.#commands.progress();
      return this.#ready();
    } catch (error) {
      if (!(error instanceof DmaAborted)) throw error;
      if (this.#dispatcher.drops === drops) this.#dropWork();
      return false;
    }
  }

  /** Works for a step's time, at least a piece. */
  #work(dma: DmaSpace): void {
    const end = this.#now() + STEP_MS;
    do this.#dispatcher.step(dma, PIECE_BYTES);
    while (this.#ready() && this.#now() < end);
  }

  /** Whether it could work now. */
  #ready(): boolean {
    return this.#parts.status.state !== DeviceState.halted && this.#dispatcher.busy;
  }

  /** Registers keep their values. Descriptors do not outlive the memory they point to. */
  clientGone(): void {
    this.#dropWork();
    this.portals.reset();
  }

  /**
   * Effects of writes beyond the register's declaration: locks of the configuration, commands, occupancy interrupts.
   */
  #registerHooks(): HooksOf<DsaRegisters> {
    const whileDisabled = { writable: () => this.#parts.status.state === DeviceState.disabled };
    const whileQueueDisabled = {
      writable: (i: number) => this.#workQueues.all[i]?.state === WorkQueueState.disabled,
    };
    return {
      GENCFG: whileDisabled,
      CMD: { afterWrite: (written) => this.#commands.submit(written) },
      GRPWQCFG0: whileDisabled,
      GRPWQCFG1: whileDisabled,
      GRPWQCFG2: whileDisabled,
      GRPWQCFG3: whileDisabled,
      GRPENGCFG: whileDisabled,
      GRPFLAGS: whileDisabled,
      WQCFG_SIZE: whileDisabled,
      WQCFG_MODE: whileQueueDisabled,
      WQCFG_LIMITS: whileQueueDisabled,
      WQCFG_OCCUPANCY_INTERRUPT: whileQueueDisabled,
      WQCFG_OCCUPANCY_LIMIT: { afterWrite: (_, __, i) => this.#workQueues.all[i]?.occupancyLimitWritten() },
      WQCFG_STATE: { afterWrite: (_, __, i) => this.#workQueues.all[i]?.checkOccupancy() },
      WQCFG_OPCFG0: whileQueueDisabled,
      WQCFG_OPCFG1: whileQueueDisabled,
      WQCFG_OPCFG2: whileQueueDisabled,
      WQCFG_OPCFG3: whileQueueDisabled,
    };
  }

  #dropWork(): void {
    this.#dispatcher.abandon(() => true);
  }

  /** Resets config space as well, except for sticky bits. */
  #functionLevelReset(): void {
    this.reset();
    this.config.reset({ keepSticky: true });
  }

  #busMasterWritten(): void {
    if (!this.#parts.pci.busMaster) this.#pciConfigurationChanged();
  }

  /**
   * Halts the device after a change of PCI configuration that is only allowed while it is disabled (sections 5.7 and
   * 9.1.3).
   */
  #pciConfigurationChanged(): void {
    const { status, errors, interrupts } = this.#parts;
    if (status.state === DeviceState.disabled || status.state === DeviceState.halted) return;
    status.halt(ResetType.functionLevel);
    errors.recordOfDevice(SoftwareError.pciConfigurationChanged);
    interrupts.halted();
  }
}
