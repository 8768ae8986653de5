import { VfioError } from "@vfio-selftests/core";
import { IgbFunction } from "./igb-function";
import { MailboxHost } from "./mailbox-host";
import { Ctrl, Message, Reg, VfMailbox, VfReg } from "./registers";

/** How long the physical function's driver may take for an answer. The kernel's igbvf gives it 10 ms and more. */
const MAILBOX_TIMEOUT_MS = 500;
const ADDRESS_SIZE = 6;

/**
 * A virtual function of the 82576 (8086:10ca): one pool's queues, three vectors and a mailbox. It works while its
 * physical function does: that one starts its queues, holds the link, and switches its frames back to it.
 */
export class VirtualFunction extends IgbFunction {
  address: readonly number[] = [];

  override reset(): void {
    this.set(Reg.CTRL, Ctrl.RST);
    this.maskInterrupts(0xffffffff);
  }

  /** Asks the physical function to start the queues, as igbvf's e1000_reset_hw_vf does. */
  override bringUp(): void {
    const { ACKNOWLEDGE, MESSAGE_SENT, REQUEST } = VfMailbox;
    this.#take();
    // Reading clears what an earlier message left.
    this.read(VfReg.V2PMAILBOX);
    this.write(VfReg.VMBMEM, Message.RESET);
    this.write(VfReg.V2PMAILBOX, REQUEST);
    const host = MailboxHost.of(this.device.address);
    const answered = this.succeeds(
      () => {
        host?.serve();
        return (this.read(VfReg.V2PMAILBOX) & MESSAGE_SENT) !== 0;
      },
      MAILBOX_TIMEOUT_MS,
      "an answer from the physical function",
    );
    if (!answered) throw this.#error("ETIMEDOUT", "the driver of its physical function does not answer");
    this.#take();
    const [answer = 0, low = 0, high = 0] = [0, 4, 8].map((offset) => this.read(VfReg.VMBMEM + offset));
    this.write(VfReg.V2PMAILBOX, ACKNOWLEDGE);
    if (answer >>> 0 !== (Message.RESET | Message.ACCEPTED) >>> 0) {
      throw this.#error("EIO", `its physical function answered 0x${answer.toString(16)}`);
    }
    this.address = Array.from({ length: ADDRESS_SIZE }, (_, byte) =>
      byte < 4 ? (low >>> (8 * byte)) & 0xff : (high >>> (8 * (byte - 4))) & 0xff,
    );
  }

  /** The physical function has the engines. */
  protected override startEngines(): void {
    // Nothing to start here.
  }

  protected override stopEngines(): void {
    // Other functions use them.
  }

  /** Takes the mailbox's memory. Giving it back is part of each message. */
  #take(): void {
    const taken = () => {
      this.write(VfReg.V2PMAILBOX, VfMailbox.TAKE);
      return (this.read(VfReg.V2PMAILBOX) & VfMailbox.TAKE) !== 0;
    };
    if (!this.succeeds(taken, MAILBOX_TIMEOUT_MS, "the mailbox")) {
      throw this.#error("ETIMEDOUT", "its physical function holds the mailbox");
    }
  }

  #error(code: "ETIMEDOUT" | "EIO", what: string): VfioError {
    return new VfioError(`${this.device.address} cannot start: ${what}`, {
      code,
      operation: "igb virtual function",
      subject: this.device.address,
      remedy: "drive the physical function, too: with this driver in the same process, or with the kernel's igb",
    });
  }
}
