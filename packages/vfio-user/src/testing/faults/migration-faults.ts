import { join, u32, u64 } from "../../conformance/wire/bytes";
import { FEATURE, MIG_DATA_READ } from "../../conformance/wire/commands";
import { GET, LOGGING_REPORT, PROBE, SET } from "../../conformance/wire/features";
import type { Fault } from "../faulty-server";
import { failure, inReplies, type ServerFault, success, wrongByte } from "./fault-replies";

/** What is wrong with a device's migration and its log of written pages. */
export const MIGRATION_FAULTS: readonly ServerFault[] = [
  [
    "migrates without a state to copy in",
    /^device_feature\.a_device_that/,
    () => ({ answer: migration({ flags: 0n }) }),
  ],
  ["migrates and is stopped", /^device_feature\.a_device_runs/, () => ({ answer: migration({ state: 1 }) })],
  ["takes any state", /^device_feature\.states/, () => ({ answer: migration({ takesAnyState: true }) })],
  ["answers a probe with another feature", /^device_feature\.reply_to/, () => ({ answer: migration({ probed: 5 }) })],
  [
    "refuses to migrate, though it says that it can",
    /^mig_state\.(reply|every|a_reset)|^mig_data\.(saved|reply|fewer)|^dma_logging\.(reply|no_ranges|a_report_is|argsz)/,
    () => ({
      answer: (r) =>
        r.command === MIG_DATA_READ || (r.command === FEATURE && ((r.body[6] ?? 0) & (SET >> 16)) !== 0)
          ? failure(r)
          : undefined,
    }),
  ],
  ["stays in its state", /^mig_state\.(every|a_reset)/, () => ({ answer: migration({ state: 3 }) })],
  [
    "gives as many bytes as were asked for",
    /^mig_data\.reply_has/,
    () => ({
      reply: inReplies(MIG_DATA_READ, (bytes) => {
        const padded = Buffer.concat([bytes, Buffer.alloc(16)]);
        padded.writeUInt32LE(padded.length, 4);
        return padded;
      }),
    }),
  ],
  [
    "never ends its data, and has them without a state",
    /^mig_data\.(fewer|argsz|the_other)/,
    () => {
      let read = 0;
      return {
        answer: (r) => {
          if (r.command !== MIG_DATA_READ) return undefined;
          read += 1;
          // The first two reads are those of a whole stream.
          const size = read > 2 ? 64 : 16;
          return success(r, join(u32(8 + size, size), new Uint8Array(size)));
        },
      };
    },
  ],
  [
    "loses the last byte of its data",
    /^mig_data\.saved/,
    () => ({
      reply: inReplies(MIG_DATA_READ, (bytes) => {
        const size = bytes.readUInt32LE(20);
        bytes.writeUInt32LE(Math.max(0, size - 1), 20);
        return bytes;
      }),
    }),
  ],
  ["chooses no page size", /^dma_logging\.reply_to_a_start/, () => wrongByte(FEATURE, 9, 0)],
  [
    "has no room in mind for a bitmap",
    /^dma_logging\.(argsz|a_report_is)/,
    () => ({
      answer: (r) =>
        r.command === FEATURE && r.body[4] === LOGGING_REPORT
          ? success(r, join(r.body.subarray(0, 8), u64(1n, 2n, 3n, 4n)))
          : undefined,
    }),
  ],
  ["ignores argsz of a feature", /^device_feature\.argsz/, () => ({ answer: migration({ ignoresArgsz: true }) })],
];

/** VFIO_USER_DEVICE_FEATURE of a device that can migrate; by default without a fault. */
export function migration({
  flags = 1n,
  state = 2,
  probed = undefined as number | undefined,
  takesAnyState = false,
  ignoresArgsz = false,
} = {}): NonNullable<Fault["answer"]> {
  return (request) => {
    const { command, body } = request;
    if (command !== FEATURE || body.length < 8) return undefined;
    const fields = Buffer.from(body);
    const [argsz, what] = [fields.readUInt32LE(0), fields.readUInt32LE(4)];
    const [feature, method] = [what & 0xffff, what & ~0xffff];
    if (feature !== 1 && feature !== 2) return undefined;
    if ((method & PROBE) !== 0)
      return success(request, probed === undefined ? body : join(body.subarray(0, 4), u32(probed)));
    if (method === SET) {
      const good = takesAnyState || (fields.readUInt32LE(8) >= 1 && fields.readUInt32LE(8) < 8);
      return good ? success(request, body) : failure(request);
    }
    if (method !== GET) return failure(request);
    if (argsz < 16 && !ignoresArgsz) return failure(request);
    return success(request, join(u32(16, what), feature === 1 ? u64(flags) : u32(state, 0)));
  };
}
