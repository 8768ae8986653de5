import { linkName, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  mailboxMemoryOf,
  mailboxOf,
  Message,
  PfMailbox,
  POOL_OFFLOADS,
  poolOffloads,
  Rah,
  receiveAddress,
  Reg,
} from "./registers";

/** The physical function's registers. */
interface Registers {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** The physical functions that are up in this process, by their addresses. */
const hosts = new Map<string, MailboxHost>();

/**
 * The physical function's end of the mailboxes. A virtual function's reset stops its queues, and only the physical
 * function can start them again. The virtual function asks for it, and is told its Ethernet address (igb_vf_reset_msg
 * in igb_main.c).
 */
export class MailboxHost {
  readonly #registers: Registers;
  readonly #address: string;
  readonly #count: number;

  /** `address`: of the physical function. `count`: of its virtual functions. */
  constructor(registers: Registers, address: string, count: number) {
    this.#registers = registers;
    this.#address = address;
    this.#count = count;
    hosts.set(address, this);
  }

  /** The host of a virtual function's physical function, if that is up in this process. */
  static of(virtualFunction: string): MailboxHost | undefined {
    const physical = linkName(systemPaths.pciDevice(virtualFunction, "physfn"));
    return physical === undefined ? undefined : hosts.get(physical);
  }

  /** Answers every message that waits. */
  serve(): void {
    for (let vf = 0; vf < this.#count; vf++) {
      if ((this.#registers.read(Reg.MBVFICR) & (1 << vf)) === 0) continue;
      this.#registers.write(Reg.MBVFICR, 1 << vf);
      this.#answer(vf);
    }
  }

  /** Lets a pool receive what comes for the address, and transmit. */
  startPool(pool: number, [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]: readonly number[]): void {
    const registers = this.#registers;
    const low = receiveAddress(pool);
    registers.write(low, a | (b << 8) | (c << 16) | (d << 24));
    registers.write(low + 4, e | (f << 8) | (1 << (Rah.POOL_SHIFT + pool)) | Rah.VALID);
    registers.write(poolOffloads(pool), POOL_OFFLOADS);
    for (const enable of [Reg.VFRE, Reg.VFTE]) registers.write(enable, registers.read(enable) | (1 << pool));
  }

  /** Later messages find nobody here. */
  close(): void {
    if (hosts.get(this.#address) === this) hosts.delete(this.#address);
  }

  #answer(vf: number): void {
    const registers = this.#registers;
    const mailbox = mailboxOf(vf);
    const memory = mailboxMemoryOf(vf);
    registers.write(mailbox, PfMailbox.TAKE);
    const message = registers.read(memory);
    // Without TAKE this also gives the mailbox back.
    registers.write(mailbox, PfMailbox.ACKNOWLEDGE);
    const known = message === Message.RESET;
    const address = addressOf(vf);
    if (known) {
      registers.write(Reg.VFLRE, 1 << vf);
      this.startPool(vf, address);
    }
    registers.write(mailbox, PfMailbox.TAKE);
    registers.write(memory, message | (known ? Message.ACCEPTED : Message.REFUSED));
    const [a, b, c, d, e, f] = address;
    registers.write(memory + 4, a | (b << 8) | (c << 16) | (d << 24));
    registers.write(memory + 8, e | (f << 8));
    registers.write(mailbox, PfMailbox.MESSAGE_SENT);
  }
}

/** Locally administered, one a virtual function. */
function addressOf(vf: number): readonly [number, number, number, number, number, number] {
  return [0x02, 0, 0, 0, 1, vf];
}
