import {
  PciIrq,
  PciRegion,
  type DeviceHost,
  type DeviceModel,
  type ModelIrq,
  type ModelRegion,
} from "@vfio-selftests/vfio-user";
import { Command as PciCommand, INITIATE_FUNCTION_LEVEL_RESET } from "../config-space/index";
import { RegisterFile } from "../registers/index";
import { DSA, type DsaOptions } from "./capabilities";
import { CommandProcessor, type CommandTarget } from "./commands";
import type { Outcome } from "./completion-record";
import { ATS_ENABLE, PASID_ENABLE, dsaConfigSpace } from "./config-space";
import { Descriptor } from "./descriptor";
import type { DescriptorContext } from "./descriptor-checks";
import type { Execution } from "./descriptor-run";
import { DeviceMemory, DmaAborted } from "./device-memory";
import { Dispatcher } from "./dispatcher";
import { checkDevice, checkWorkQueue, groupConfigurations } from "./enable-checks";
import { Interrupts } from "./interrupts";
import { Portals, type PortalAddress, type WriteKind } from "./portals";
import {
  DeviceState,
  GENCFG_USER_INTERRUPTS,
  InterruptCause,
  ResetType,
  WorkQueueState,
  WqMode,
  dsaRegisterMap,
  type DsaRegisters,
} from "./registers";
import { descriptorErrorWords, deviceErrorWords, type SoftwareErrorWords } from "./software-error";
import { CommandError, SoftwareError } from "./status-codes";
import type { Submission } from "./submission";
import { WorkQueue } from "./work-queue";

/** Bytes of copying in one step: some 100 us. */
const STEP_BYTES = 2 * 1024 * 1024;

/**
 * Intel Data Streaming Accelerator of the first generation: 8086:0b25, architecture version 1.0. docs/dsa.md lists what
 * of the device is modelled.
 */
export class DsaModel implements DeviceModel {
  readonly name = "dsa";
  /** The register state, for tests that set up what software cannot. */
  readonly bar0: RegisterFile<DsaRegisters>;
  readonly config: RegisterFile<ReturnType<typeof dsaConfigSpace>["declarations"]>;
  /** BAR2; `enqueue` is ENQCMD, which vfio-user cannot carry. */
  readonly portals: Portals;
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([
    [PciIrq.msix, { count: DSA.msixVectors, maskable: true, noResize: true }],
  ]);

  readonly #options: DsaOptions;
  readonly #interrupts: Interrupts;
  readonly #workQueues: readonly WorkQueue[];
  readonly #dispatcher: Dispatcher;
  readonly #commands: CommandProcessor;
  #host: DeviceHost | undefined;
  /** Work that was dropped so far: an aborted access tells by it whether the work it belonged to is gone already. */
  #drops = 0;

  constructor(options: DsaOptions = {}) {
    this.#options = options;
    const whileDisabled = { writable: () => this.#deviceState === DeviceState.disabled };
    const whileQueueDisabled = {
      writable: (i: number) => this.#workQueues[i]?.state === WorkQueueState.disabled,
    };
    this.bar0 = new RegisterFile(dsaRegisterMap(options), {
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
      WQCFG_OCCUPANCY_LIMIT: { afterWrite: (_, __, i) => this.#workQueues[i]?.occupancyLimitWritten() },
      WQCFG_STATE: { afterWrite: (_, __, i) => this.#workQueues[i]?.checkOccupancy() },
      WQCFG_OPCFG0: whileQueueDisabled,
      WQCFG_OPCFG1: whileQueueDisabled,
      WQCFG_OPCFG2: whileQueueDisabled,
      WQCFG_OPCFG3: whileQueueDisabled,
    });
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
    this.#interrupts = new Interrupts(registers, options, () => this.#host);
    this.#workQueues = Array.from(
      { length: DSA.workQueues },
      (_, i) => new WorkQueue(i, registers, (handle) => this.#interrupts.occupancy(handle)),
    );
    this.#dispatcher = new Dispatcher((workQueue) => this.#executionFor(workQueue));
    this.#commands = new CommandProcessor(registers, options, this.#commandTarget());
    this.portals = new Portals((portal, descriptor, kind) => this.#submit(portal, descriptor, kind));
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.bar0, this.bar0],
      [PciRegion.bar2, this.portals],
      [PciRegion.config, this.config],
    ]);
  }

  attach(host: DeviceHost): void {
    this.#host = host;
  }

  /** VFIO's reset: a function level reset around which config space is saved and restored. */
  reset(): void {
    this.#dropWork(() => true);
    this.#dispatcher.configure([]);
    this.#commands.reset();
    this.#interrupts.reset();
    this.portals.reset();
    this.bar0.reset();
    for (const workQueue of this.#workQueues) workQueue.reset();
  }

  step(): boolean {
    const drops = this.#drops;
    try {
      this.#commands.progress();
      if (this.#deviceState !== DeviceState.halted) {
        this.#dispatcher.step(STEP_BYTES);
        this.#commands.progress();
      }
      return this.#deviceState !== DeviceState.halted && this.#dispatcher.busy;
    } catch (error) {
      if (!(error instanceof DmaAborted)) throw error;
      if (this.#drops === drops) this.#dropWork(() => true);
      return false;
    }
  }

  /** Registers keep their values; descriptors do not outlive the memory they point to. */
  clientGone(): void {
    this.#dropWork(() => true);
    this.portals.reset();
  }

  get #deviceState(): number {
    return this.bar0.registers.GENSTS.value & 0x3;
  }

  #setDeviceState(state: number, resetType: number = ResetType.software): void {
    this.bar0.registers.GENSTS.value = state | (resetType << 2);
  }

  get #busMaster(): boolean {
    return (this.config.registers.COMMAND.value & PciCommand.busMaster) !== 0;
  }

  get #atsEnabled(): boolean {
    return this.#options.ats === true && (this.config.registers.ATS_CONTROL.value & ATS_ENABLE) !== 0;
  }

  get #pasidEnabled(): boolean {
    return this.#options.pasid === true && (this.config.registers.PASID_CONTROL.value & PASID_ENABLE) !== 0;
  }

  /** Section 5.3. */
  #submit({ workQueue: index, limited }: PortalAddress, bytes: Uint8Array, kind: WriteKind): boolean {
    const workQueue = this.#workQueues[index];
    if (workQueue?.state !== WorkQueueState.enabled || this.#deviceState !== DeviceState.enabled) return false;
    if (workQueue.dedicated !== (kind === "posted")) return false;
    const room = workQueue.dedicated || !limited ? workQueue.size : workQueue.threshold;
    if (workQueue.occupancy >= room) {
      if (workQueue.dedicated) this.#recordError(deviceErrorWords(SoftwareError.workQueueFull, index));
      return false;
    }
    const descriptor = new Descriptor(bytes);
    const own = workQueue.dedicated && workQueue.pasidEnabled;
    workQueue.add({
      descriptor,
      workQueue: index,
      pasid: own ? workQueue.pasid : workQueue.dedicated ? undefined : descriptor.pasid,
      privileged: own ? workQueue.privileged : descriptor.privileged,
      batchIndex: undefined,
    });
    return true;
  }

  #executionFor(workQueue: WorkQueue): Execution {
    return {
      context: (submission) => this.#contextOf(workQueue, submission),
      memory: () => new DeviceMemory(this.#dma, this.#atsEnabled && (workQueue.mode & WqMode.atsDisable) === 0),
      mustWait: (drain) => workQueue.olderInFlight(drain, ({ pasid }) => workQueue.dedicated || pasid === drain.pasid),
      reportError: (outcome, submission) => this.#reportDescriptorError(outcome, submission),
      raiseCompletionInterrupt: (handle) => this.#interrupts.completion(handle),
    };
  }

  get #dma(): DeviceHost["dma"] {
    if (this.#host === undefined) throw new Error("the DSA model is not attached to a host");
    return this.#host.dma;
  }

  #contextOf(workQueue: WorkQueue, { pasid, privileged, batchIndex }: Submission): DescriptorContext {
    const { pasidEnabled } = workQueue;
    const userInterrupts = (this.bar0.registers.GENCFG.value & GENCFG_USER_INTERRUPTS) !== 0;
    return {
      inBatch: batchIndex !== undefined,
      shared: !workQueue.dedicated,
      maximumTransferShift: workQueue.maximumTransferShift,
      maximumBatchShift: workQueue.maximumBatchShift,
      operations: workQueue.operations[0],
      interruptsAllowed: userInterrupts || !pasidEnabled || privileged,
      handleRefused: (handle) => this.#interrupts.permissionRefused(handle, pasidEnabled, pasid),
    };
  }

  #reportDescriptorError(outcome: Outcome, submission: Submission): void {
    this.#recordError(descriptorErrorWords(outcome, submission));
  }

  /** SWERROR holds one error; further ones only set Overflow (section 9.2.15). */
  #recordError(words: SoftwareErrorWords): void {
    const { SWERROR0, SWERROR1, SWERROR2, SWERROR3 } = this.bar0.registers;
    if ((SWERROR0.low & SWERROR_VALID) !== 0) {
      SWERROR0.low = (SWERROR0.low | SWERROR_OVERFLOW) >>> 0;
      return;
    }
    const overflow = BigInt(SWERROR0.low & SWERROR_OVERFLOW);
    SWERROR0.value = words[0] | overflow;
    SWERROR1.value = words[1];
    SWERROR2.value = words[2];
    SWERROR3.value = words[3];
    this.#interrupts.softwareError();
  }

  #commandTarget(): CommandTarget {
    const queues = () => this.#workQueues;
    const inMask = (mask: number) => queues().filter(({ index }) => ((mask >>> index) & 1) === 1);
    return {
      enableDevice: () => this.#enableDevice(),
      enableWorkQueue: (index) => this.#enableWorkQueue(index),
      enabledWorkQueues: () =>
        queues().reduce((mask, { index, state }) => (state === WorkQueueState.enabled ? mask | (1 << index) : mask), 0),
      closeWorkQueues: (mask) => {
        for (const workQueue of inMask(mask)) {
          if (workQueue.state === WorkQueueState.enabled) workQueue.state = WorkQueueState.draining;
        }
      },
      disableWorkQueues: (mask) => {
        for (const workQueue of inMask(mask)) workQueue.state = WorkQueueState.disabled;
      },
      resetWorkQueues: (mask) => {
        for (const workQueue of inMask(mask)) workQueue.reset();
      },
      setDeviceState: (state) => this.#setDeviceState(state),
      resetDevice: () => this.#softwareReset(),
      holds: (matches) => queues().some((workQueue) => workQueue.holds(matches)),
      abandon: (doomed) => this.#dropWork(doomed),
      requestInterruptHandle: (vector) => this.#interrupts.requestHandle(vector),
      releaseInterruptHandle: (vector) => this.#interrupts.releaseHandle(vector),
      commandCompleted: () => this.#interrupts.raiseCause(InterruptCause.command),
      commandWhileActive: () => this.#recordError(deviceErrorWords(SoftwareError.commandWhileActive)),
    };
  }

  #enableDevice(): number {
    const { registers } = this.bar0;
    const error = checkDevice(registers, this.#workQueues, this.#busMaster);
    if (error !== CommandError.none) return error;
    this.#dispatcher.configure(
      groupConfigurations(registers).map(({ workQueues, engineCount }) => ({
        workQueues: this.#workQueues.filter(({ index }) => ((workQueues >> BigInt(index)) & 1n) === 1n),
        engines: engineCount,
      })),
    );
    this.#setDeviceState(DeviceState.enabled);
    return CommandError.none;
  }

  #enableWorkQueue(index: number): number {
    const workQueue = this.#workQueues[index] as WorkQueue;
    const error = checkWorkQueue(workQueue, {
      pasidEnabled: this.#pasidEnabled,
      handleRefused: (handle) => this.#interrupts.handleRefused(handle),
    });
    if (error === CommandError.none) workQueue.state = WorkQueueState.enabled;
    return error;
  }

  /** The Reset Device command: the configuration returns to its initial values, and what table 9-3 names stays. */
  #softwareReset(): void {
    this.#dispatcher.configure([]);
    this.#interrupts.reset();
    this.bar0.reset({ keepSticky: true });
    for (const workQueue of this.#workQueues) workQueue.reset();
  }

  /** Config space is reset as well, except for what is sticky. */
  #functionLevelReset(): void {
    this.reset();
    this.config.reset({ keepSticky: true });
  }

  #dropWork(doomed: (submission: Submission) => boolean): void {
    this.#drops++;
    this.#dispatcher.abandon(doomed);
    for (const workQueue of this.#workQueues) workQueue.abandon(doomed);
  }

  #busMasterWritten(): void {
    if (!this.#busMaster) this.#pciConfigurationChanged();
  }

  /** What PCI configuration may only change while the device is disabled halts it otherwise (sections 5.7 and 9.1.3). */
  #pciConfigurationChanged(): void {
    if (this.#deviceState === DeviceState.disabled || this.#deviceState === DeviceState.halted) return;
    this.#setDeviceState(DeviceState.halted, ResetType.functionLevel);
    this.#recordError(deviceErrorWords(SoftwareError.pciConfigurationChanged));
    this.#interrupts.halted();
  }
}

const SWERROR_VALID = 0x1;
const SWERROR_OVERFLOW = 0x2;
