import { type DmaRegion, type PciDevice, VfioError, type VfioErrorCode } from "@vfio-selftests/core";
import {
  BoundedWait,
  DEFAULT_WAIT_MS,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  Recovery,
} from "@vfio-selftests/core/driver";
import { CommandMemory } from "./command-memory";
import { NAMED_REGISTERS } from "./named-registers";
import { field, MESSAGE_VECTOR, NvmeController } from "./nvme-controller";
import { Layout } from "./region-layout";
import { Cap, DOORBELLS, Nvm, NVM_COMMAND_SET, PAGE_SIZE, Reg } from "./registers";
import { checkScratchDisks, parseScratchDisks, SCRATCH_VARIABLE, type ScratchDisk } from "./scratch-disks";
import { findScratchRange, isSameRange, rangeText, type ScratchRange } from "./scratch-range";
import { isTransferError, statusText } from "./status-names";

/** Mass storage, non-volatile memory, NVM Express I/O controller. */
const NVME_CLASS = 0x01_0802;
const ZEROES_BASED = 1;
/** How often to look for a fatal error, while commands are outstanding. */
const TROUBLE_INTERVAL_MS = 1;

/**
 * Ranges that may hold something else than at first. The blocks for them lie in the region. It outlives an instance, so that
 * the next one on the region puts back what a failed `remove` could not.
 */
const owedRanges = new WeakMap<DmaRegion, ScratchRange>();

/** The driver for disks that a program names. Throws ERR_INVALID_ARGUMENT for a serial number or a namespace that cannot be. */
export function nvmeDriverFor(disks: readonly ScratchDisk[]): Driver {
  checkScratchDisks(disks);
  return makeDriver(() => disks);
}

/** Any NVMe controller, for the disks that `VFIO_SELFTESTS_NVME_SCRATCH` names. */
export const nvmeDriver: Driver = makeDriver(() => parseScratchDisks(process.env[SCRATCH_VARIABLE]));

function makeDriver(scratchDisks: () => readonly ScratchDisk[]): Driver {
  return {
    name: "nvme",
    probe: (device) => {
      if (device.config.classCode !== NVME_CLASS) return `its class is not 01:08:02`;
      if (scratchDisks().length === 0) {
        return `a copy overwrites blocks of the disk: name a disk without data by its serial number in ${SCRATCH_VARIABLE}`;
      }
      return refusal(device) ?? true;
    },
    regionSize: Layout.size,
    registers: NAMED_REGISTERS,
    create: (device, region) => new NvmeInstance(device, region, scratchDisks()),
  };
}

function refusal(device: PciDevice): string | undefined {
  const bar = device.bars[0];
  if (bar === undefined || bar.size <= DOORBELLS) return `BAR 0 has ${bar?.size ?? 0} bytes`;
  const cap = bar.read64(Reg.CAP);
  if ((field(cap, Cap.commandSets) & NVM_COMMAND_SET) === 0) return "it has no NVM command set";
  const page = PAGE_SIZE * 2 ** field(cap, Cap.minimumPage);
  return page === PAGE_SIZE ? undefined : `its smallest memory page has ${page} bytes`;
}

/** Copies through the disk: Write from the source, then Read to the destination. */
class NvmeInstance implements DriverInstance {
  readonly limits: DriverLimits;
  readonly msiVector?: number;
  readonly sendMsi?: () => void;
  readonly #device: PciDevice;
  readonly #region: DmaRegion;
  readonly #controller: NvmeController;
  readonly #range: ScratchRange;
  readonly #source: CommandMemory;
  readonly #destination: CommandMemory;
  readonly #saved: CommandMemory;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  /** Reads that follow the writes in progress. 0: reads are in progress, or nothing. */
  #reads = 0;
  #blocks = 0;
  /** When to look next. 0: an interval after the next poll. */
  #lookAt = 0;
  #trouble: string | undefined;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion, disks: readonly ScratchDisk[]) {
    this.#device = device;
    this.#region = region;
    this.#controller = new NvmeController(device, region);
    this.#recovery = new Recovery(() => this.#controller.bringUp());
    this.#source = new CommandMemory(region, Layout.sourceList, Layout.padding);
    this.#destination = new CommandMemory(region, Layout.destinationList, Layout.padding);
    this.#saved = new CommandMemory(region, Layout.savedList, Layout.padding);
    this.#end = new BoundedWait(() => this.memcpyEnded(), {
      what: "the commands to complete",
      subject: device.address,
      state: () => this.#controller.state(),
    });
    if (this.#controller.messages !== undefined) {
      // QEMU refuses a queue with another vector than 0 while MSI-X is disabled (nvme_create_cq in hw/nvme/ctrl.c).
      device.interrupts.msix.enable(MESSAGE_VECTOR, 1);
      this.msiVector = MESSAGE_VECTOR;
      this.sendMsi = () => this.#sendMsi();
    }
    try {
      // A disk that nobody named gets no command but Identify.
      this.#controller.reset();
      this.#range = findScratchRange(this.#controller, disks);
      this.#controller.createQueues();
      this.#saved.aim(region.iovaOf(Layout.saved), this.#range.bytes, 0);
      this.#payBack();
      this.#transferSaved(Nvm.read);
    } catch (error) {
      this.#giveUp();
      throw error;
    }
    this.limits = {
      minMemcpySize: this.#range.alignment,
      maxMemcpySize: this.#range.bytes,
      // A queue that is full looks like an empty one.
      maxMemcpyCount: this.#controller.copies.entries - 1,
      alignment: this.#range.alignment,
    };
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#recovery.retry();
    owedRanges.set(this.#region, this.#range);
    const { blockBytes } = this.#range;
    this.#blocks = Math.ceil(size / blockBytes);
    const padding = this.#blocks * blockBytes - size;
    this.#source.aim(source, size, padding);
    this.#destination.aim(destination, size, padding);
    this.#reads = count;
    this.#trouble = undefined;
    this.#lookAt = 0;
    this.#controller.copies.clear();
    this.#submit(Nvm.write, this.#source, count);
  }

  /**
   * Starts the reads when the writes have completed, because a controller may execute the commands of a queue in any order.
   */
  memcpyEnded(): boolean {
    const { copies } = this.#controller;
    if (copies.reap()) {
      if (this.#reads === 0 || copies.failure !== 0) return true;
      const count = this.#reads;
      this.#reads = 0;
      this.#submit(Nvm.read, this.#destination, count);
      return false;
    }
    if (this.#trouble !== undefined) return true;
    const now = performance.now();
    if (this.#lookAt === 0) this.#lookAt = now + TROUBLE_INTERVAL_MS;
    if (now < this.#lookAt) return false;
    this.#trouble = this.#controller.trouble();
    this.#lookAt = now + TROUBLE_INTERVAL_MS;
    return this.#trouble !== undefined;
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#end.wait(options?.timeoutMs ?? DEFAULT_WAIT_MS);
    } catch (error) {
      throw this.#recovery.after(error);
    }
    const { copies } = this.#controller;
    if (copies.outstanding > 0) throw this.#recovery.after(this.#error("EIO", this.#trouble ?? "no answer"));
    if (copies.failure === 0) return;
    // All commands have ended, and the controller goes on.
    const command = this.#reads > 0 ? "Write" : "Read";
    const code = isTransferError(copies.failure) ? "EFAULT" : "EIO";
    throw this.#error(code, `${command} ended with status ${statusText(copies.failure)}`);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#putBack();
    } catch (error) {
      if (error instanceof VfioError)
        error.message += `\n  Not put back: ${rangeText(this.#range)} hold data of copies`;
      this.#giveUp();
      throw error;
    }
    this.#stop();
  }

  #submit(opcode: number, memory: CommandMemory, count: number): void {
    const { copies } = this.#controller;
    const { namespace, firstLow, firstHigh } = this.#range;
    for (let i = 0; i < count; i++)
      copies.add(opcode, namespace, memory, firstLow, firstHigh, this.#blocks - ZEROES_BASED);
    copies.ring();
  }

  #sendMsi(): void {
    const { messages } = this.#controller;
    if (messages === undefined) return;
    this.#recovery.retry();
    messages.add(Nvm.flush, this.#range.namespace);
    try {
      this.#controller.run(messages, "sendMsi");
    } catch (error) {
      throw this.#recovery.after(error);
    }
  }

  /** Reads the scratch range into the driver's region, or writes it from there. */
  #transferSaved(opcode: number): void {
    const { copies } = this.#controller;
    const { namespace, firstLow, firstHigh, bytes, blockBytes } = this.#range;
    copies.add(opcode, namespace, this.#saved, firstLow, firstHigh, bytes / blockBytes - ZEROES_BASED);
    this.#controller.run(copies, opcode === Nvm.read ? "saving the scratch range" : "putting back the scratch range");
  }

  /**
   * Gives the scratch range what it held before the first copy. A copy may be in progress, and the device may have been reset.
   * Without its region in the address space, the device could not read what to write.
   */
  #putBack(): void {
    if (!owedRanges.has(this.#region) || !this.#region.mapped) return;
    this.#controller.bringUp();
    this.#payBack();
  }

  #payBack(): void {
    const owed = owedRanges.get(this.#region);
    if (owed === undefined) return;
    if (!isSameRange(owed, this.#range)) {
      throw this.#controller.error("ERR_INVALID_STATE", "create", `the driver must put back ${rangeText(owed)} first`);
    }
    this.#transferSaved(Nvm.write);
    owedRanges.delete(this.#region);
  }

  #stop(): void {
    try {
      this.#controller.bringDown();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  /** Stops the device after an error, before its queues' memory goes away. */
  #giveUp(): void {
    try {
      this.#stop();
    } catch {
      // The caller must know of the first error.
    }
  }

  #error(code: VfioErrorCode, text: string): VfioError {
    return this.#controller.error(code, "copy", `${text}; ${this.#controller.state()}`);
  }
}
