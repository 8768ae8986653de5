import { commandOf } from "../../protocol/commands";
import { type CheckName, demand, NotApplicable } from "../check";
import { capabilityValues } from "../server/server-under-test";
import { u32At, u64At } from "../wire/bytes";
import { errnoText } from "../wire/conversation";
import { type ClientRecord, commandsOf, type Entry, isCommand, replyTo } from "./client-record";
import { ASKED, ASKED_BYTES, askingScenario, CONFORMING, FAULT_SCENARIOS, REFUSED_SCENARIOS, type Scenario } from "./scenario";

/** One demand of the specification on a client: what its conversation with a server in this scenario must look like. */
export interface ClientCheck extends CheckName {
  readonly scenario: string;
  /** Throws a Departure or NotApplicable. */
  judge(record: ClientRecord): void;
}

const VERSION = 1;
const DMA_MAP = 2;
const DMA_UNMAP = 3;
const GET_INFO = 4;
const REGION_INFO = 5;
const IO_FDS = 6;
const IRQ_INFO = 7;
const SET_IRQS = 8;
const REGION_READ = 9;
const REGION_WRITE = 10;
const DMA_WRITE = 12;
const WRITE_MULTI = 15;
const ERROR = 0x20;

/** What the session behind the scenarios tells of itself, where the client proposes these capabilities. */
const MAX_TRANSFER = 1024 * 1024;
const MAX_MAPS = 65_535;
const MAX_FDS = 16;
const PAGE = 4095n;

/** Bytes of the fields of each request. */
const FIELDS: Readonly<Record<number, number>> = {
  [VERSION]: 4,
  [DMA_MAP]: 32,
  [DMA_UNMAP]: 24,
  [GET_INFO]: 16,
  [REGION_INFO]: 32,
  [IO_FDS]: 16,
  [IRQ_INFO]: 16,
  [SET_IRQS]: 20,
  [REGION_READ]: 16,
  [REGION_WRITE]: 16,
  [WRITE_MULTI]: 8,
  16: 8,
  17: 8,
  18: 8,
};

const nameOf = ({ command }: Entry): string => commandOf(command)?.name ?? `command ${command}`;
const isError = ({ flags }: Entry): boolean => (flags & ERROR) !== 0;

function family(
  name: string,
  section: string,
  scenario: string,
  checks: Readonly<Record<string, (record: ClientRecord) => void>>,
): readonly ClientCheck[] {
  return Object.entries(checks).map(([check, judge]) => ({ id: `${name}.${check}`, section, scenario, judge }));
}

/** A check of every command with this number that has all its fields. */
function each(number: number, check: (entry: Entry, record: ClientRecord) => void): (record: ClientRecord) => void {
  return (record) => {
    const found = commandsOf(record, number).filter(({ body }) => body.length >= (FIELDS[number] ?? 0));
    if (found.length === 0) {
      const name = commandOf(number)?.name ?? String(number);
      throw new NotApplicable(`the client sent no ${name}`, "make the client do more: use the device");
    }
    for (const entry of found) check(entry, record);
  };
}

const field = ({ body }: Entry, offset: number): number => u32At(body, offset);
const wide = ({ body }: Entry, offset: number): bigint => u64At(body, offset);

/** Requires zeros in 32-bit fields of a request, "all other fields must be zero". */
function requireZeros(entry: Entry, offsets: readonly number[]): void {
  for (const at of offsets) demand(field(entry, at) === 0, `0 at offset ${at} of ${nameOf(entry)}`, field(entry, at));
}

function requireArgsz(entry: Entry, least: number): void {
  demand(field(entry, 0) >= least, `an argsz of at least ${least} in ${nameOf(entry)}`, field(entry, 0));
}

interface Mapped {
  readonly start: bigint;
  readonly size: bigint;
}

/** Walks through maps and unmaps as they happened, and calls `check` before each. */
function walkMaps(record: ClientRecord, check: (entry: Entry, living: readonly Mapped[]) => void): void {
  const living: Mapped[] = [];
  for (const entry of commandsOf(record, DMA_MAP, DMA_UNMAP)) {
    if (entry.body.length < (FIELDS[entry.command] ?? 0)) continue;
    check(entry, living);
    const reply = replyTo(record, entry);
    if (reply !== undefined && isError(reply)) continue;
    if (entry.command === DMA_MAP) {
      living.push({ start: wide(entry, 16), size: wide(entry, 24) });
    } else if ((field(entry, 4) & 2) !== 0) {
      living.length = 0;
    } else {
      const [start, end] = [wide(entry, 8), wide(entry, 8) + wide(entry, 16)];
      const kept = living.filter((map) => map.start < start || map.start + map.size > end);
      living.splice(0, living.length, ...kept);
    }
  }
}

const headerChecks = family("header", "Header", CONFORMING.name, {
  commands_are_those_of_a_client: (record) => {
    for (const entry of commandsOf(record)) {
      demand(commandOf(entry.command)?.from === "client" && entry.command !== 14, "commands of the client's", nameOf(entry));
    }
  },
  flags_are_known: (record) => {
    for (const { command, flags } of commandsOf(record)) {
      demand((flags & ~0x1f) === 0, "no flag of a command but No_reply", `0x${flags.toString(16)} with command ${command}`);
    }
  },
  error_field_is_zero: (record) => {
    for (const { command, error } of commandsOf(record)) {
      demand(error === 0, "0 in the reserved field `error`", `${error} with command ${command}`);
    }
  },
  every_request_has_its_fields: (record) => {
    for (const entry of commandsOf(record)) {
      const needed = FIELDS[entry.command] ?? 0;
      demand(entry.body.length >= needed, `${needed} bytes of ${nameOf(entry)}`, entry.body.length);
    }
  },
  every_message_is_understood: (record) => {
    demand(record.ending !== "server", "messages with a size and a type", "one that ended the connection");
  },
});

const versionChecks = family("version", "VFIO_USER_VERSION", CONFORMING.name, {
  comes_first: (record) => {
    const [first] = commandsOf(record);
    demand(first?.command === VERSION, "VERSION as the first command", first === undefined ? "nothing" : nameOf(first));
  },
  comes_once: (record) => {
    const count = commandsOf(record, VERSION).length;
    demand(count === 1, "one VERSION", count);
  },
  data_are_json_that_ends_with_nul: each(VERSION, ({ body }) => {
    if (body.length === 4) return;
    demand(body.at(-1) === 0 && body.indexOf(0, 4) === body.length - 1, "one NUL, at the end", "another end");
    demand(capabilityValues(body) !== undefined, "an object `capabilities` in JSON", Buffer.from(body.subarray(4)).toString());
  }),
  capabilities_have_the_types_of_the_specification: each(VERSION, ({ body }) => {
    const values = capabilityValues(body) ?? {};
    for (const name of ["max_msg_fds", "max_data_xfer_size", "max_dma_maps", "pgsizes"]) {
      const value = values[name];
      if (value !== undefined) demand(typeof value === "number", `a number for ${name}`, JSON.stringify(value));
    }
    const { write_multiple: multiple, twin_socket: twin } = values;
    if (multiple !== undefined) demand(typeof multiple === "boolean", "a boolean for write_multiple", JSON.stringify(multiple));
    if (twin !== undefined) demand(typeof twin === "object", "an object for twin_socket", JSON.stringify(twin));
  }),
});

const dmaMapChecks = family("dma_map", "VFIO_USER_DMA_MAP", CONFORMING.name, {
  argsz_is_32: each(DMA_MAP, (entry) => demand(field(entry, 0) === 32, "argsz 32", field(entry, 0))),
  flags_are_those_of_the_specification: each(DMA_MAP, (entry) => {
    const flags = field(entry, 4);
    demand((flags & ~3) === 0 && flags !== 0, "readable (1), writeable (2) or both", `0x${flags.toString(16)}`);
  }),
  ranges_are_whole_pages: each(DMA_MAP, (entry) => {
    const [address, size] = [wide(entry, 16), wide(entry, 24)];
    demand(((address | size) & PAGE) === 0n && size > 0n, "whole pages of 4 KiB", `${size} bytes at 0x${address.toString(16)}`);
  }),
  offset_is_zero_without_a_descriptor: each(DMA_MAP, (entry) => {
    if (entry.descriptors === 0) demand(wide(entry, 8) === 0n, "offset 0 of memory without a descriptor", wide(entry, 8));
  }),
  at_most_one_descriptor_comes_along: each(DMA_MAP, ({ descriptors }) =>
    demand(descriptors <= 1, "at most one descriptor", descriptors),
  ),
  maps_do_not_overlap: (record) => {
    each(DMA_MAP, () => undefined)(record);
    walkMaps(record, (entry, living) => {
      if (entry.command !== DMA_MAP) return;
      const [start, end] = [wide(entry, 16), wide(entry, 16) + wide(entry, 24)];
      const hit = living.find((map) => map.start < end && start < map.start + map.size);
      demand(hit === undefined, "a range that is not mapped", `0x${start.toString(16)}, which is`);
    });
  },
  at_most_max_dma_maps_live: (record) => {
    each(DMA_MAP, () => undefined)(record);
    walkMaps(record, (_entry, { length }) => demand(length <= MAX_MAPS, `at most ${MAX_MAPS} maps`, length));
  },
});

const dmaUnmapChecks = family("dma_unmap", "VFIO_USER_DMA_UNMAP", CONFORMING.name, {
  argsz_has_room_for_the_reply: each(DMA_UNMAP, (entry) => requireArgsz(entry, 24)),
  flags_are_zero: each(DMA_UNMAP, (entry) => requireZeros(entry, [4])),
  range_is_that_of_a_map: (record) => {
    each(DMA_UNMAP, () => undefined)(record);
    walkMaps(record, (entry, living) => {
      if (entry.command !== DMA_UNMAP) return;
      const [start, size] = [wide(entry, 8), wide(entry, 16)];
      const exact = living.some((map) => map.start === start && map.size === size);
      demand(exact, "exactly the range of a map", `${size} bytes at 0x${start.toString(16)}`);
    });
  },
});

const infoChecks = [
  ...family("device_info", "VFIO_USER_DEVICE_GET_INFO", CONFORMING.name, {
    argsz_has_room_for_the_reply: each(GET_INFO, (entry) => requireArgsz(entry, 16)),
    other_fields_are_zero: each(GET_INFO, (entry) => requireZeros(entry, [4, 8, 12])),
  }),
  ...family("region_info", "VFIO_USER_DEVICE_GET_REGION_INFO", CONFORMING.name, {
    argsz_has_room_for_the_fields: each(REGION_INFO, (entry) => requireArgsz(entry, 32)),
    other_fields_are_zero: each(REGION_INFO, (entry) => requireZeros(entry, [4, 12, 16, 20, 24, 28])),
    index_is_one_of_the_device: each(REGION_INFO, (entry, record) => {
      const count = toldCount(record, 8);
      if (count !== undefined) demand(field(entry, 8) < count, `an index below ${count}`, field(entry, 8));
    }),
  }),
  ...family("irq_info", "VFIO_USER_DEVICE_GET_IRQ_INFO", CONFORMING.name, {
    argsz_has_room_for_the_reply: each(IRQ_INFO, (entry) => requireArgsz(entry, 16)),
    other_fields_are_zero: each(IRQ_INFO, (entry) => requireZeros(entry, [4, 12])),
    index_is_one_of_the_device: each(IRQ_INFO, (entry, record) => {
      const count = toldCount(record, 12);
      if (count !== undefined) demand(field(entry, 8) < count, `an index below ${count}`, field(entry, 8));
    }),
  }),
  ...family("region_io_fds", "VFIO_USER_DEVICE_GET_REGION_IO_FDS", CONFORMING.name, {
    other_fields_are_zero: each(IO_FDS, (entry) => requireZeros(entry, [4, 12])),
  }),
];

/** A field of the first reply to GET_INFO. */
function toldCount(record: ClientRecord, offset: number): number | undefined {
  const [asked] = commandsOf(record, GET_INFO);
  const reply = asked === undefined ? undefined : replyTo(record, asked);
  return reply === undefined || reply.body.length < 16 ? undefined : field(reply, offset);
}

const DATA_FLAGS = 7;
const ACTION_FLAGS = 0x38;
const isOneBit = (bits: number): boolean => bits !== 0 && (bits & (bits - 1)) === 0;

const irqChecks = family("set_irqs", "VFIO_USER_DEVICE_SET_IRQS", CONFORMING.name, {
  argsz_is_the_size_of_the_payload: each(SET_IRQS, (entry) =>
    demand(field(entry, 0) === entry.body.length, `argsz ${entry.body.length}`, field(entry, 0)),
  ),
  one_kind_of_data_and_one_action: each(SET_IRQS, (entry) => {
    const flags = field(entry, 4);
    const good = isOneBit(flags & DATA_FLAGS) && isOneBit(flags & ACTION_FLAGS) && (flags & ~0x3f) === 0;
    demand(good, "one DATA flag and one ACTION flag", `0x${flags.toString(16)}`);
  }),
  descriptors_are_none_or_as_many_as_vectors: each(SET_IRQS, (entry) => {
    const [flags, count, { descriptors }] = [field(entry, 4), field(entry, 16), entry];
    const good = descriptors === 0 || ((flags & 4) !== 0 && descriptors === count);
    demand(good, `0 or ${count} descriptors`, descriptors);
  }),
  descriptors_are_at_most_max_msg_fds: each(SET_IRQS, ({ descriptors }, record) => {
    const [greeting] = commandsOf(record, VERSION);
    const asked = greeting !== undefined && capabilityValues(greeting.body)?.["max_msg_fds"] !== undefined;
    // What was not proposed cannot be told, and then is 1.
    const most = asked ? MAX_FDS : 1;
    demand(descriptors <= most, `at most ${most} descriptors`, descriptors);
  }),
  booleans_are_as_many_as_vectors: each(SET_IRQS, (entry) => {
    const [flags, count, bytes] = [field(entry, 4), field(entry, 16), entry.body.length - 20];
    if ((flags & 2) !== 0) demand(bytes === count, `${count} booleans`, bytes);
  }),
});

/** The size that the client was told of a region; undefined if it did not ask. */
function toldSize(record: ClientRecord, index: number): bigint | undefined {
  for (const asked of commandsOf(record, REGION_INFO)) {
    const reply = replyTo(record, asked);
    if (reply !== undefined && reply.body.length >= 32 && field(reply, 8) === index) return wide(reply, 16);
  }
  return undefined;
}

function requireInside(entry: Entry, record: ClientRecord): void {
  const [offset, region, count] = [wide(entry, 0), field(entry, 8), field(entry, 12)];
  const size = toldSize(record, region);
  if (size === undefined) return;
  demand(offset + BigInt(count) <= size, `an access inside the ${size} bytes of region ${region}`, `${count} at ${offset}`);
}

const accessChecks = [
  ...family("region_read", "VFIO_USER_REGION_READ", CONFORMING.name, {
    range_is_inside_the_region: each(REGION_READ, requireInside),
    count_is_at_most_max_data_xfer_size: each(REGION_READ, (entry) =>
      demand(field(entry, 12) <= MAX_TRANSFER, `at most ${MAX_TRANSFER} bytes`, field(entry, 12)),
    ),
  }),
  ...family("region_write", "VFIO_USER_REGION_WRITE", CONFORMING.name, {
    range_is_inside_the_region: each(REGION_WRITE, requireInside),
    data_are_as_long_as_the_count: each(REGION_WRITE, (entry) =>
      demand(entry.body.length - 16 === field(entry, 12), `${field(entry, 12)} bytes of data`, entry.body.length - 16),
    ),
  }),
  ...family("write_multi", "VFIO_USER_REGION_WRITE_MULTI", CONFORMING.name, {
    was_agreed_on: each(WRITE_MULTI, (_entry, record) => {
      const [greeting] = commandsOf(record, VERSION);
      const proposed = greeting !== undefined && capabilityValues(greeting.body)?.["write_multiple"] === true;
      demand(proposed, "write_multiple in the proposal", "none");
    }),
    writes_are_as_many_as_it_says: each(WRITE_MULTI, (entry) => {
      const count = wide(entry, 0);
      demand(BigInt(entry.body.length - 8) === count * 24n, `${count * 24n} bytes of writes`, entry.body.length - 8);
    }),
  }),
];

/** The client's reply to something that the server asked. */
function answer(record: ClientRecord, id: number): { asked: Entry; reply: Entry } {
  const asked = record.entries.find((entry) => entry.from === "server" && isCommand(entry.flags) && entry.id === id);
  if (asked === undefined) {
    throw new NotApplicable("the client mapped no memory that could be asked for", "use a client that maps memory");
  }
  const reply = replyTo(record, asked);
  demand(reply !== undefined, `a reply to ${nameOf(asked)}`, "none");
  demand(reply.command === asked.command, `the command of ${nameOf(asked)} in the reply`, reply.command);
  return { asked, reply };
}

function requireRefusal(record: ClientRecord, id: number, what: string): void {
  const { reply } = answer(record, id);
  demand(isError(reply), `an error for ${what}`, `success, with ${reply.body.length} bytes`);
  demand(reply.body.length === 0, "an error reply of the header alone", `${reply.body.length} bytes behind the header`);
}

const ASKING = askingScenario().name;

const memoryChecks = [
  ...family("dma_read", "VFIO_USER_DMA_READ", ASKING, {
    reply_has_the_data: (record) => {
      const { asked, reply } = answer(record, ASKED.read);
      demand(!isError(reply), "the bytes of mapped memory", `an error (${errnoText(reply.error)})`);
      const { body } = reply;
      demand(body.length === 16 + ASKED_BYTES, `${16 + ASKED_BYTES} bytes behind the header`, body.length);
      demand(u64At(body, 0) === wide(asked, 0), "the address of the request", u64At(body, 0));
      demand(u64At(body, 8) === BigInt(ASKED_BYTES), `a count of ${ASKED_BYTES}, in 8 bytes`, `0x${u64At(body, 8).toString(16)}`);
    },
    memory_that_is_not_mapped_is_an_error: (record) => requireRefusal(record, ASKED.outside, "memory that is not mapped"),
  }),
  ...family("dma_write", "VFIO_USER_DMA_WRITE", ASKING, {
    reply_says_what_was_written: (record) => {
      const { asked, reply } = answer(record, ASKED.write);
      demand(asked.command === DMA_WRITE && !isError(reply), "success", `an error (${errnoText(reply.error)})`);
      const { body } = reply;
      // The count has 4 bytes in the reply's table and 8 in the request's.
      demand(body.length === 12 || body.length === 16, "address and count behind the header", `${body.length} bytes`);
      demand(u64At(body, 0) === wide(asked, 0), "the address of the request", u64At(body, 0));
      demand(u32At(body, 8) === ASKED_BYTES, `a count of ${ASKED_BYTES}`, u32At(body, 8));
    },
  }),
  ...family("commands", "Commands", ASKING, {
    an_unknown_one_is_an_error: (record) => requireRefusal(record, ASKED.unknown, "an unknown command"),
  }),
];

function requireClosed(record: ClientRecord): void {
  const after = commandsOf(record).filter(({ command }) => command !== VERSION);
  demand(after.length === 0, "no command after the reply to VERSION", after.map(nameOf).join(", "));
  demand(record.ending === "client", "that the client closes the connection", "it is still open");
}

const refusalChecks = [
  ...family("negotiation", "VFIO_USER_VERSION", REFUSED_SCENARIOS.anotherMajor.name, {
    another_major_ends_the_connection: requireClosed,
  }),
  ...family("negotiation", "VFIO_USER_VERSION", REFUSED_SCENARIOS.twinWithoutDescriptor.name, {
    a_twin_socket_without_its_descriptor_ends_the_connection: (record) => {
      const [greeting] = commandsOf(record, VERSION);
      const twin = greeting === undefined ? undefined : capabilityValues(greeting.body)?.["twin_socket"];
      if ((twin as { supported?: unknown } | undefined)?.supported !== true) {
        throw new NotApplicable("the client asks for no twin socket", "none: the capability is optional");
      }
      requireClosed(record);
    },
  }),
];

const survivalChecks = Object.entries(FAULT_SCENARIOS).flatMap(([name, scenario]) =>
  family("survives", "Security Considerations", scenario.name, {
    [name]: ({ process }) => {
      if (process === undefined) {
        throw new NotApplicable("nobody saw how the client ended", "let this command start the client: -- command {socket}");
      }
      const { signal } = process;
      demand(signal === null, `a client that survives ${scenario.name}`, `one that ${signal ?? ""} ended`);
    },
  }),
);

/** Everything that the harness demands of a client, those of one scenario after the other. */
export const CLIENT_CHECKS: readonly ClientCheck[] = [
  ...headerChecks,
  ...versionChecks,
  ...dmaMapChecks,
  ...dmaUnmapChecks,
  ...infoChecks,
  ...irqChecks,
  ...accessChecks,
  ...memoryChecks,
  ...refusalChecks,
  ...survivalChecks,
];

/** The scenarios, in the order in which clients meet them. Each call gives new ones, because one may have a state. */
export function clientScenarios(): readonly Scenario[] {
  return [CONFORMING, askingScenario(), ...Object.values(REFUSED_SCENARIOS), ...Object.values(FAULT_SCENARIOS)];
}
