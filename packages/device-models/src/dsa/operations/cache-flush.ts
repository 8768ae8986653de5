import type { Outcome } from "../descriptors/completion-record";
import { AccessFault } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import type { Job, Operation } from "./operation";
import { Transfer } from "./transfer";

/** Cache Flush (section 8.3.26). Cache Control 1 selects no encoding that it has (table 8-4). */
export const cacheFlush: Operation = {
  code: 0x20,
  name: "CFLUSH",
  flags: Flag.strictOrdering | Flag.destinationReadback | Flag.trafficClass2,
  required: 0,
  reserved: [
    [16, 23],
    [38, 63],
  ],
  size: "transfer size",
  start: (job) => new CacheFlush(job),
};

/** There is no cache to flush. With ATS the device still translates the addresses, and may fault. */
class CacheFlush extends Transfer {
  constructor(job: Job) {
    super(job, 1);
  }

  protected override process(length: number): Outcome | undefined {
    if (!this.memory.translated) {
      this.done = this.descriptor.size;
      return undefined;
    }
    const part = this.memory.read(this.descriptor.destination + BigInt(this.done), length);
    if (part instanceof AccessFault) return this.memory.outcomeOf(part, this.done);
    this.done += part.length;
    return undefined;
  }
}
