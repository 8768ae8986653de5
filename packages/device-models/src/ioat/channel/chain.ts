/** How descriptors are handed over: counted by DMACOUNT (version 2 and up), or a chain that ends in a null pointer. */
export type Submission = "count" | "chain";

/** Where the channel is in its chain of descriptors. */
export class Chain {
  submission: Submission = "count";
  /** Next descriptor; where it came from decides which error a bad one is. */
  next = 0n;
  nextIsFromRegister = true;
  /** Descriptor last completed or failed, as CHANSTS shows it; 0 since CHAINADDR was written. */
  last = 0n;
  /** APPEND was written: at the end of the chain the last descriptor's next pointer is read again. */
  appendPending = false;
  /** The hardware's own count of descriptors done since CHAINADDR was written: 16 bits, as DMACOUNT. */
  #completed = 0;

  begin(address: bigint): void {
    this.next = address;
    this.nextIsFromRegister = true;
    this.last = 0n;
    this.appendPending = false;
    this.#completed = 0;
  }

  /** The descriptor at `address` is done; `next` is its next pointer. */
  pass(address: bigint, next: bigint): void {
    this.last = address;
    this.next = next;
    this.nextIsFromRegister = false;
    this.#completed = (this.#completed + 1) & 0xffff;
  }

  /** Whether a descriptor is left, `count` being the value of DMACOUNT. */
  hasMore(count: number): boolean {
    return this.submission === "count" ? this.#completed !== count : this.next !== 0n || this.appendPending;
  }
}
