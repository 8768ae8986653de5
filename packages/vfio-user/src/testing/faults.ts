import { join, u16, u32, u64 } from "../conformance/wire/bytes";
import {
  DMA_MAP,
  DMA_UNMAP,
  FEATURE,
  GET_INFO,
  IO_FDS,
  IRQ_INFO,
  MIG_DATA_READ,
  REGION_INFO,
  REGION_READ,
  REGION_WRITE,
  SET_IRQS,
  VERSION,
  WRITE_MULTI,
} from "../conformance/wire/commands";
import { frame } from "../conformance/wire/messages";
import type { Fault, Heard } from "./faulty-server";

/** The feature's index. */
const LOGGING_REPORT = 8;

const REPLY = 1;
const NO_REPLY = 0x10;
const ERROR = 0x20;
const EINVAL = 22;

/** Bytes of each command's reply, without data. */
const REPLY_BYTES: Readonly<Record<number, number>> = {
  [VERSION]: 4,
  [DMA_UNMAP]: 24,
  [GET_INFO]: 16,
  [REGION_INFO]: 32,
  [IO_FDS]: 16,
  [IRQ_INFO]: 16,
  [REGION_READ]: 20,
  [REGION_WRITE]: 16,
  [WRITE_MULTI]: 8,
  [FEATURE]: 16,
};

const isError = (bytes: Buffer): boolean => (bytes.readUInt32LE(8) & ERROR) !== 0;

/** A success, of zeros. */
const success = ({ id, command }: Pick<Heard, "id" | "command">, body?: Uint8Array): Buffer =>
  Buffer.from(frame(command, body ?? new Uint8Array(REPLY_BYTES[command] ?? 0), { id, flags: REPLY }));

const failure = ({ id, command }: Heard, body?: Uint8Array): Buffer =>
  Buffer.from(frame(command, body, { id, flags: REPLY | ERROR, error: EINVAL }));

const isPlain = ({ command, flags, size, body }: Heard): boolean =>
  flags === 0 &&
  ((command === VERSION && size > 100 && size < 200) ||
    (command === GET_INFO && size === 32 && body[0] === 16 && body[1] === 0));

/** Changes the replies to one command that are no errors. */
const inReplies =
  (wanted: number, change: (bytes: Buffer) => Buffer | undefined) =>
  (bytes: Buffer, { command }: Heard): Buffer | undefined =>
    command === wanted && !isError(bytes) ? (change(bytes) ?? undefined) : undefined;

/** Sets a byte of the body of a command's replies. */
const wrongByte = (command: number, offset: number, value: number): Fault => ({
  reply: inReplies(command, (bytes) => {
    bytes[16 + offset] = value;
  }),
});

const versionReply = (json: Uint8Array): Fault => ({
  reply: inReplies(VERSION, (bytes) => {
    const body = join(u16(0, 0), json);
    return Buffer.from(frame(VERSION, body, { id: bytes.readUInt16LE(0), flags: REPLY }));
  }),
});

const text = (json: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(json)}\0`);

/** A success for the requests that `which` chooses, which are not served. */
const ignores = (which: (request: Heard) => boolean): Fault => ({
  answer: (request) => {
    if (!which(request)) return undefined;
    return (request.flags & NO_REPLY) === 0 ? success(request) : null;
  },
});

/** Faults of a server, and the checks that must tell of each: those whose ids match. */
export const SERVER_FAULTS: readonly (readonly [name: string, told: RegExp, fault: () => Fault])[] = [
  [
    "calls every request a success",
    /_(is|are)_an_error$|is_refused$|^header\.(error_reply|unknown_type)|must_not_wrap$|must_be_zero$|^(?!mig_data|dma_logging).*argsz_too_small|^mig_data\.(a_running|more|data_cut|the_other)|^version\.(must_come_first|.*are_refused)/,
    () => ({ reply: (bytes, request) => (isError(bytes) ? success(request) : undefined) }),
  ],
  [
    "calls every request but the first two an error",
    /^dma_map\.(reply|memory|an_offset|the_same|an_overlap|neigh|read|many)|^dma_unmap\.(reply|the_range|a_part)|^set_irqs\.(an_|bools|start_c|another|no_descriptor|count_0|a_mask)|^region_(read|write)\.(reply|widths|a_|last)|^device_reset\.(reply|a_storm_(is|under)|a_reset)|^write_multi\.writes|^region_info\.conf|eexist$|^disconnect\.the_m/,
    () => ({
      answer: (request) =>
        [VERSION, GET_INFO, REGION_INFO, IRQ_INFO].includes(request.command) &&
        !(request.command === REGION_INFO && request.body[1] === 16)
          ? undefined
          : (request.flags & NO_REPLY) === 0
            ? failure(request)
            : null,
    }),
  ],
  [
    "says nothing to anything but the greeting",
    /^(header|concurrency|stream)\.(?!noise|every|many|a_client|a_huge|the_greeting|size_|reply_to_nothing)/,
    () => ({ answer: (request) => (request.command === VERSION ? undefined : null) }),
  ],
  ["says nothing at all", /^version\.|^stream\./, () => ({ answer: () => null })],
  [
    "dies of whatever is not plain",
    /^(dma_map|region_read|header|device_reset)\..*no_harm$|^version\.(very|deep|numbers|data_w).*no_harm$|^stream\.(every|noise|a_client_may_go_after)|^device_reset\.a_storm_without/,
    () => ({ dies: (request) => !isPlain(request) }),
  ],
  [
    "dies of a second greeting",
    /^version\.a_second/,
    () => {
      let greetings = 0;
      return {
        dies: ({ command }) => {
          greetings += command === VERSION ? 1 : 0;
          return greetings > 1 && command === VERSION;
        },
      };
    },
  ],
  [
    "dies of a hundred descriptors",
    /^descriptors\..*no_harm$/,
    () => {
      let came = 0;
      return { dies: ({ descriptors }) => (came += descriptors) > 100 };
    },
  ],
  ["dies after three clients", /^stream\.(a_client|many)|^disconnect\.the_maps/, () => ({ clients: 3 })],
  [
    "replies with another id",
    /^header\.(reply_has_the_id|ids_)|^concurrency\./,
    () => ({ reply: (bytes) => void bytes.writeUInt16LE(bytes.readUInt16LE(0) ^ 0x8000, 0) }),
  ],
  [
    "sets a flag that does not exist",
    /^header\.reply_has_only_known_flags$/,
    () => ({ reply: (bytes) => void bytes.writeUInt32LE(bytes.readUInt32LE(8) | 0x40, 8) }),
  ],
  [
    "sends data with errors",
    /^header\.error_reply/,
    () => ({ reply: (bytes, request) => (isError(bytes) ? failure(request, u32(0)) : undefined) }),
  ],
  [
    "replies to commands that want none",
    /no_reply/,
    () => ({ answer: (request) => ((request.flags & NO_REPLY) === 0 ? undefined : success(request)) }),
  ],
  [
    "does not do what wants no reply",
    /a_write_without_reply/,
    () => ({ answer: (request) => ((request.flags & NO_REPLY) === 0 ? undefined : null) }),
  ],
  [
    "takes the error field of a command for an error",
    /^header\.error_field/,
    () => ({ answer: (request) => (request.error === 0 ? undefined : failure(request)) }),
  ],
  [
    "answers a reply",
    /^header\.reply_to_nothing/,
    () => ({ answer: (request) => ((request.flags & REPLY) === 0 ? undefined : success(request)) }),
  ],
  [
    "answers in pairs, the second first",
    /^concurrency\.(commands|an_error)/,
    () => {
      let held: Buffer | undefined;
      return {
        reply: (bytes, { command, id }) => {
          if (command === VERSION || id < 0x4000) return undefined;
          if (held === undefined) {
            held = Buffer.from(bytes);
            return null;
          }
          const both = Buffer.concat([bytes, held]);
          held = undefined;
          return both;
        },
      };
    },
  ],
  ["answers with major version 7", /^version\.major/, () => wrongByte(VERSION, 0, 7)],
  ["answers with minor version 7", /^version\.minor/, () => wrongByte(VERSION, 2, 7)],
  [
    "takes any major version",
    /^version\.an_unknown_major/,
    () => ({ answer: (r) => (r.command === VERSION ? success(r) : undefined) }),
  ],
  ["sends JSON without NUL", /^version\.reply_is_json/, () => versionReply(text({}).subarray(0, -1))],
  ["sends no JSON", /^version\.reply_is_json/, () => versionReply(new TextEncoder().encode("{\0"))],
  [
    "sends numbers as text",
    /^version\.reply_has_the_types/,
    () => versionReply(text({ capabilities: { max_msg_fds: "1" } })),
  ],
  [
    "offers what nobody proposed",
    /^version\.reply_is_a_subset/,
    () => versionReply(text({ capabilities: { pgsizes: 4096 } })),
  ],
  [
    "switches on what nobody proposed",
    /^version\.features/,
    () => versionReply(text({ capabilities: { write_multiple: true, twin_socket: { supported: true, fd_index: 0 } } })),
  ],
  ["sends no descriptors", /^version\.twin|^region_info\.(a_mappable|the_file)/, () => ({ sendsNoDescriptors: true })],
  ["tells a wrong argsz of the device", /^device_info\.(reply|argsz_of)/, () => wrongByte(GET_INFO, 0, 99)],
  ["is no PCI device", /^device_info\.tells/, () => wrongByte(GET_INFO, 4, 1)],
  [
    "has no configuration space",
    /^region_info\.configuration/,
    () => ({
      reply: inReplies(REGION_INFO, (bytes) => void bytes.fill(0, 32, 40)),
    }),
  ],
  ["tells another region", /^region_info\.every/, () => wrongByte(REGION_INFO, 8, 77)],
  ["tells a wrong size of the capabilities", /^region_info\.argsz_without/, () => wrongByte(REGION_INFO, 0, 33)],
  ["tells flags of a region's files", /^region_io_fds\.every/, () => wrongByte(IO_FDS, 4, 1)],
  ["tells another interrupt", /^irq_info\.every/, () => wrongByte(IRQ_INFO, 8, 77)],
  [
    "tells another offset",
    /^region_(read\.(reply|widths|a_whole|last)|write\.a_)/,
    () => {
      const change = (bytes: Buffer): undefined => void (bytes[16] = (bytes[16] ?? 0) ^ 0xff);
      return {
        reply: (bytes, r) => inReplies(REGION_READ, change)(bytes, r) ?? inReplies(REGION_WRITE, change)(bytes, r),
      };
    },
  ],
  [
    "reads other bytes in wide accesses",
    /^region_read\.widths/,
    () => ({
      reply: (bytes, { command }) => {
        if (command === REGION_READ && bytes.length === 36) bytes[35] = 0xee;
        return undefined;
      },
    }),
  ],
  [
    "sends data for a read of nothing",
    /^region_read\.no_byte/,
    () => ({
      reply: (bytes, r) => (r.command === REGION_READ && bytes.length === 32 ? success(r) : undefined),
    }),
  ],
  [
    "does not write",
    /^region_write\.a_written/,
    () => ({
      answer: (r) => (r.command === REGION_WRITE ? success(r, r.body.subarray(0, 16)) : undefined),
    }),
  ],
  [
    "does not write several",
    /^write_multi\.writes/,
    () => ({
      answer: (r) => (r.command === WRITE_MULTI ? success(r, u64(3n)) : undefined),
    }),
  ],
  [
    "reports an overlap with another errno",
    /eexist$/,
    () => ({
      reply: (bytes, { command }) => {
        if (command === DMA_MAP && isError(bytes)) bytes.writeUInt32LE(EINVAL, 12);
        return undefined;
      },
    }),
  ],
  ["maps memory for ever", /^dma_unmap\.all_ref|^disconnect\.the_memory/, () => ({ keepsMappings: true })],
  [
    "unmaps nothing",
    /^dma_unmap\.the_range/,
    () => ({
      answer: (r) => (r.command === DMA_UNMAP ? success(r, r.body) : undefined),
    }),
  ],
  [
    "does not tell what was unmapped",
    /^dma_unmap\.reply/,
    () => ({
      reply: inReplies(DMA_UNMAP, (bytes) => void bytes.fill(0, 16)),
    }),
  ],
  [
    "connects no interrupts",
    /^set_irqs\.(an_event|bools|start_c|another)/,
    () => ignores((r) => r.command === SET_IRQS),
  ],
  [
    "disconnects no eventfd",
    /^set_irqs\.no_descriptor/,
    () => ignores((r) => r.command === SET_IRQS && r.body[4] === 0x24 && r.descriptors === 0),
  ],
  [
    "disables no type",
    /^set_irqs\.count_0/,
    () => ignores((r) => r.command === SET_IRQS && r.body[4] === 0x21 && r.body[16] === 0),
  ],
  ["keeps what was its client's", /^disconnect\.the_(maps|eventfds)/, () => ({ keepsClients: true })],
  ["forgets the device's state", /^disconnect\.the_state/, () => ({ forgetsState: true })],
  ["keeps descriptors open", /^descriptors\.(?!.*no_harm)/, () => ({ leaksDescriptors: true })],
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

const GET = 1 << 16;
const SET = 1 << 17;
const PROBE = 1 << 18;

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
