import { u32 } from "../../conformance/wire/bytes";
import { GET_INFO, IRQ_INFO, REGION_INFO, VERSION } from "../../conformance/wire/commands";
import { NO_REPLY, REPLY } from "../../conformance/wire/header-flags";
import { failure, isError, isPlain, type ServerFault, success, text, versionReply, wrongByte } from "./fault-replies";

/** What is wrong with a server's messages: header, greeting, order, and whether any come. */
export const MESSAGE_FAULTS: readonly ServerFault[] = [
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
];
