import type { StateReader, StateWriter } from "../../migration/state-bytes";

/** How software hands descriptors over: DMACOUNT counts them (version 2 and up), or a chain ends in a null pointer. */
export type Submission = "count" | "chain";

/** Where the channel is in its chain of descriptors. */
export class Chain {
  submission: Submission = "count";
  /** Next descriptor. Its origin decides which error a bad one is. */
  next = 0n;
  nextIsFromRegister = true;
  /** Descriptor last completed or failed, for CHANSTS. 0 since the last write of CHAINADDR. */
  last = 0n;
  /** APPEND was written: at the end of the chain, the channel reads the last descriptor's next pointer again. */
  appendPending = false;
  /** The hardware's own count of descriptors done since the last write of CHAINADDR, with 16 bits, as DMACOUNT. */
  #completed = 0;

  begin(address: bigint): void {
    this.next = address;
    this.nextIsFromRegister = true;
    this.last = 0n;
    this.appendPending = false;
    this.#completed = 0;
  }

  /** The descriptor at `address` is done. `next` is its next pointer. */
  pass(address: bigint, next: bigint): void {
    this.last = address;
    this.next = next;
    this.nextIsFromRegister = false;
    this.#completed = (this.#completed + 1) & 0xffff;
  }

  save(state: StateWriter): void {
    state
      .flag(this.submission === "count")
      .u64(this.next, this.last)
      .flag(this.nextIsFromRegister);
    state.flag(this.appendPending).u32(this.#completed);
  }

  load(state: StateReader): void {
    this.submission = state.flag() ? "count" : "chain";
    [this.next, this.last] = [state.u64(), state.u64()];
    this.nextIsFromRegister = state.flag();
    this.appendPending = state.flag();
    this.#completed = state.u32(0xffff);
  }

  /** Whether a descriptor is left when DMACOUNT is `count`. */
  hasMore(count: number): boolean {
    return this.submission === "count" ? this.#completed !== count : this.next !== 0n || this.appendPending;
  }
}
