import { type Bar, type DmaRegion, type PciDevice, VfioError, type VfioErrorCode } from "@vfio-selftests/core";
import { BoundedWait, pollUntil } from "@vfio-selftests/core/driver";
import { CommandMemory } from "./command-memory";
import { QueuePair } from "./queue-pair";
import { ADMIN_ENTRIES, COPY_ENTRIES, Layout, MESSAGE_ENTRIES } from "./region-layout";
import * as regs from "./registers";
import { Admin, Cc, Csts, QueueFlag, Reg } from "./registers";
import { statusText } from "./status-names";

const COMMAND_TIMEOUT_MS = 5000;
/** CAP.TO counts half seconds. Zero is no time that a device can keep. */
const TIMEOUT_UNIT_MS = 500;
/** CAP.TO says nothing of a shutdown. The kernel waits as long, too (shutdown_timeout in drivers/nvme/host/core.c). */
const SHUTDOWN_TIMEOUT_MS = 5000;

const COPY_QUEUE = 1;
const MESSAGE_QUEUE = 2;
/** The vector of the message queue. The admin queue always has vector 0 (base 3.3.3.2). */
export const MESSAGE_VECTOR = 1;

/** The controller's registers and queues. It knows nothing of copies. */
export class NvmeController {
  readonly device: PciDevice;
  readonly #bar: Bar;
  readonly #region: DmaRegion;
  readonly #timeoutMs: number;
  readonly #admin: QueuePair;
  /** Read and Write, without interrupts. */
  readonly copies: QueuePair;
  /** A command here raises {@link MESSAGE_VECTOR}. Undefined where the device has one vector. */
  readonly messages: QueuePair | undefined;
  /** The memory of an admin command: one page, so nothing is written to its list. */
  readonly #memory: CommandMemory;
  /** One wait for each queue of {@link run}. */
  readonly #ends: ReadonlyMap<QueuePair, BoundedWait>;

  constructor(device: PciDevice, region: DmaRegion) {
    this.device = device;
    this.#bar = device.bar(0);
    this.#region = region;
    device.config.memoryEnable = true;
    const cap = this.#bar.read64(Reg.CAP);
    this.#timeoutMs = Math.max(1, field(cap, regs.Cap.timeout)) * TIMEOUT_UNIT_MS;
    const stride = 4 << field(cap, regs.Cap.doorbellStride);
    const most = field(cap, regs.Cap.maximumEntries) + 1;
    const pair = (id: number, submissions: number, completions: number, entries: number): QueuePair =>
      new QueuePair(this.#bar, region, { id, submissions, completions, entries: Math.min(entries, most) }, stride);
    // The admin queues have a limit of their own, 4096 entries (AQA).
    this.#admin = pair(0, Layout.adminSubmissions, Layout.adminCompletions, ADMIN_ENTRIES);
    this.copies = pair(COPY_QUEUE, Layout.copySubmissions, Layout.copyCompletions, COPY_ENTRIES);
    if (device.interrupts.msix.count > MESSAGE_VECTOR) {
      this.messages = pair(MESSAGE_QUEUE, Layout.messageSubmissions, Layout.messageCompletions, MESSAGE_ENTRIES);
    }
    this.#memory = new CommandMemory(region, Layout.savedList, Layout.padding);
    const queues = [this.#admin, this.copies, ...(this.messages === undefined ? [] : [this.messages])];
    this.#ends = new Map(queues.map((queue) => [queue, this.#endOf(queue)]));
  }

  /** Makes commands work from any state. None is in progress afterwards. */
  bringUp(): void {
    this.reset();
    this.createQueues();
  }

  /** Makes {@link identify} work from any state. No command is in progress afterwards. */
  reset(): void {
    this.#disableOrReplace();
    this.#enable();
  }

  /** Makes the copies' and the messages' commands work after {@link reset}. */
  createQueues(): void {
    const queues = this.messages === undefined ? 1 : 2;
    const wanted = queues - 1;
    this.#run(Admin.setFeatures, regs.FEATURE_NUMBER_OF_QUEUES, wanted | (wanted << 16));
    const { result } = this.#admin;
    if (Math.min(result & 0xffff, result >>> 16) < wanted) {
      throw this.error("ERR_NOT_SUPPORTED", "create", `the controller has not ${queues} queues each way`);
    }
    this.#createQueues(this.copies, 0);
    const interrupting = QueueFlag.interrupts | (MESSAGE_VECTOR << QueueFlag.vectorShift);
    if (this.messages !== undefined) this.#createQueues(this.messages, interrupting);
  }

  /** Stops everything. After a shutdown notification the disk keeps what was written (base 3.6.1). */
  bringDown(): void {
    try {
      if ((this.#read(Reg.CSTS) & (Csts.ready | Csts.fatal)) === Csts.ready) this.#shutDown();
    } finally {
      this.#disableOrReplace();
    }
  }

  /** What Identify returns, until the next command. */
  identify(structure: number, namespace = 0): DataView {
    this.#memory.aim(this.#region.iovaOf(Layout.identify), regs.PAGE_SIZE, 0);
    this.#run(Admin.identify, structure, 0, namespace, this.#memory);
    const { bytes } = this.#region;
    return new DataView(bytes.buffer, bytes.byteOffset + Layout.identify, regs.PAGE_SIZE);
  }

  /** NVMe 1.1 and later. */
  get listsNamespaces(): boolean {
    return this.#read(Reg.VS) >= regs.VERSION_1_1;
  }

  /** Hands the commands that were added to the queue to the controller, and waits for all of them. */
  run(queue: QueuePair, what: string): void {
    queue.clear();
    queue.ring();
    this.#ends.get(queue)?.wait(COMMAND_TIMEOUT_MS);
    if (queue.outstanding > 0) throw this.error("EIO", what, `${this.trouble() ?? "no answer"}; ${this.state()}`);
    if (queue.failure !== 0) throw this.error("EIO", what, `status ${statusText(queue.failure)}; ${this.state()}`);
  }

  /** Why the controller will not complete its commands, or undefined. */
  trouble(): string | undefined {
    const status = this.#read(Reg.CSTS);
    if (status === regs.ALL_ONES) return "the device does not answer";
    if ((status & Csts.fatal) !== 0) return "the controller has a fatal error";
    return (status & Csts.ready) === 0 ? "the controller is not ready" : undefined;
  }

  /** The controller's registers as text, for errors. */
  state(): string {
    const show = (name: "VS" | "CC" | "CSTS" | "AQA"): string => `${name} 0x${this.#read(Reg[name]).toString(16)}`;
    const outstanding = `${this.copies.outstanding} commands of the copies' queue not completed`;
    return `${outstanding}, CAP 0x${this.#bar.read64(Reg.CAP).toString(16)}, ${show("VS")}, ${show("CC")}, ${show("CSTS")}, ${show("AQA")}`;
  }

  error(code: VfioErrorCode, operation: string, text: string): VfioError {
    const { address } = this.device;
    return new VfioError(`nvme ${operation} on ${address} failed: ${text}`, { code, operation, subject: address });
  }

  #read(register: number): number {
    return this.#bar.read32(register);
  }

  #run(opcode: number, dword10: number, dword11: number, namespace = 0, memory?: CommandMemory): void {
    this.#admin.add(opcode, namespace, memory, dword10, dword11);
    this.run(this.#admin, `admin command 0x${opcode.toString(16)}`);
  }

  #endOf(queue: QueuePair): BoundedWait {
    return new BoundedWait(() => queue.reap() || this.trouble() !== undefined, {
      what: "a command to complete",
      subject: this.device.address,
      state: () => this.state(),
    });
  }

  #createQueues(queue: QueuePair, interrupts: number): void {
    queue.reset();
    const size = queue.id | ((queue.entries - 1) << 16);
    this.#memory.aim(queue.completions, regs.PAGE_SIZE, 0);
    this.#run(Admin.createCompletionQueue, size, QueueFlag.contiguous | interrupts, 0, this.#memory);
    this.#memory.aim(queue.submissions, regs.PAGE_SIZE, 0);
    this.#run(Admin.createSubmissionQueue, size, QueueFlag.contiguous | (queue.id << 16), 0, this.#memory);
  }

  #enable(): void {
    this.#admin.reset();
    const last = this.#admin.entries - 1;
    this.#bar.write32(Reg.AQA, last | (last << 16));
    this.#bar.write64(Reg.ASQ, this.#admin.submissions);
    this.#bar.write64(Reg.ACQ, this.#admin.completions);
    this.#bar.write32(Reg.CC, Cc.entrySizes | Cc.enable);
    this.#until(() => (this.#read(Reg.CSTS) & (Csts.ready | Csts.fatal)) !== 0, "CSTS.RDY to be set");
    if ((this.#read(Reg.CSTS) & Csts.fatal) !== 0) {
      throw this.error("EIO", "create", `the controller has a fatal error; ${this.state()}`);
    }
  }

  #shutDown(): void {
    this.#bar.write32(Reg.CC, this.#read(Reg.CC) | Cc.shutdown);
    this.#until(
      () => (this.#read(Reg.CSTS) & Csts.shutdownStatus) === Csts.shutdownComplete,
      "CSTS.SHST to show that the shutdown is complete",
      Math.max(this.#timeoutMs, SHUTDOWN_TIMEOUT_MS),
    );
  }

  /** Ends all DMA by a controller reset or, where the controller does not react, by a reset of the whole function. */
  #disableOrReplace(): void {
    const { device } = this;
    device.config.memoryEnable = true;
    device.config.busMaster = true;
    try {
      this.#disable();
    } catch (error) {
      if (!(error instanceof VfioError) || error.code !== "ETIMEDOUT" || !device.info.resettable) throw error;
      device.reset();
      device.config.memoryEnable = true;
      device.config.busMaster = true;
      this.#disable();
      if (device.interrupts.msix.enabled) device.interrupts.msix.reenable();
    }
  }

  #disable(): void {
    const configuration = this.#read(Reg.CC);
    if (configuration === regs.ALL_ONES) throw this.error("EIO", "reset", "the device does not answer");
    if ((configuration & Cc.enable) !== 0) this.#bar.write32(Reg.CC, configuration & ~Cc.enable);
    this.#until(() => (this.#read(Reg.CSTS) & Csts.ready) === 0, "CSTS.RDY to clear");
  }

  #until(condition: () => boolean, what: string, timeoutMs = this.#timeoutMs): void {
    pollUntil(condition, {
      timeoutMs,
      what,
      subject: this.device.address,
      state: () => this.state(),
    });
  }
}

/** A field of CAP: its first bit and its bits. */
export function field(register: bigint, [shift, bits]: readonly [number, number]): number {
  return Number((register >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
}
