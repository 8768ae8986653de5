import type { Outcome } from "./completion-record";
import type { Descriptor } from "./descriptor";
import { AccessFault, type DeviceMemory } from "./device-memory";
import { Status } from "./status-codes";
import type { Transfer } from "./transfer";

/** Cache Flush (section 8.3.26). There is no cache to flush; with ATS the addresses are translated, and may fault. */
export class CacheFlush implements Transfer {
  readonly weight = 1;
  #done = 0;

  constructor(
    private readonly descriptor: Descriptor,
    private readonly memory: DeviceMemory,
  ) {}

  advance(bytes: number): Outcome | undefined {
    if (!this.memory.translated) return { status: Status.success };
    const end = Math.min(this.descriptor.size, this.#done + bytes);
    while (this.#done < end) {
      const part = this.memory.read(this.descriptor.destination + BigInt(this.#done), end - this.#done);
      if (part instanceof AccessFault) return this.memory.outcomeOf(part, this.#done);
      this.#done += part.length;
    }
    return this.#done === this.descriptor.size ? { status: Status.success } : undefined;
  }
}
