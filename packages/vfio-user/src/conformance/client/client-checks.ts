import { IovaMap } from "../../iova-map";
import { commandOf } from "../../protocol/commands";
import { demand } from "../check";
import { capabilityValues } from "../server/server-under-test";
import {
  DMA_MAP,
  DMA_UNMAP,
  GET_INFO,
  IO_FDS,
  IRQ_INFO,
  REGION_INFO,
  REGION_READ,
  REGION_WRITE,
  SET_IRQS,
  VERSION,
  WRITE_MULTI,
} from "../wire/commands";
import { isError } from "../wire/header-flags";
import {
  type ClientCheck,
  each,
  family,
  field,
  FIELDS,
  nameOf,
  requireArgsz,
  requireZeros,
  wide,
} from "./client-family";
import { type ClientRecord, commandsOf, type Entry, replyTo } from "./client-record";
import { faultChecks } from "./fault-checks";
import { askingScenario, CONFORMING, FAULT_SCENARIOS, REFUSED_SCENARIOS, type Scenario } from "./scenario";

/** What the session behind the scenarios tells of itself, where the client proposes these capabilities. */
const MAX_TRANSFER = 1024 * 1024;
const MAX_MAPS = 65_535;
const MAX_FDS = 16;
const PAGE = 4095n;

interface Mapped {
  readonly start: bigint;
  readonly last: bigint;
}

function rangeOf(start: bigint, size: bigint): Mapped {
  return { start, last: start + size - 1n };
}

/** Walks through maps and unmaps as they happened, and calls `check` before each with what is mapped then. */
function walkMaps(record: ClientRecord, check: (entry: Entry, living: IovaMap<Mapped>) => void): void {
  const living = new IovaMap<Mapped>();
  for (const entry of commandsOf(record, DMA_MAP, DMA_UNMAP)) {
    if (entry.body.length < (FIELDS[entry.command] ?? 0)) continue;
    check(entry, living);
    const reply = replyTo(record, entry);
    if (reply !== undefined && isError(reply)) continue;
    if (entry.command === DMA_MAP) {
      living.add(rangeOf(wide(entry, 16), wide(entry, 24)));
    } else if ((field(entry, 4) & 2) !== 0) {
      living.clear();
    } else {
      const { start, last } = rangeOf(wide(entry, 8), wide(entry, 16));
      living.removeInside(start, last);
    }
  }
}

const headerChecks = family("header", "Header", CONFORMING.name, {
  commands_are_those_of_a_client: (record) => {
    for (const entry of commandsOf(record)) {
      demand(
        commandOf(entry.command)?.from === "client" && entry.command !== 14,
        "commands of the client's",
        nameOf(entry),
      );
    }
  },
  flags_are_known: (record) => {
    for (const { command, flags } of commandsOf(record)) {
      demand(
        (flags & ~0x1f) === 0,
        "no flag of a command but No_reply",
        `0x${flags.toString(16)} with command ${command}`,
      );
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
    demand(
      capabilityValues(body) !== undefined,
      "an object `capabilities` in JSON",
      Buffer.from(body.subarray(4)).toString(),
    );
  }),
  capabilities_have_the_types_of_the_specification: each(VERSION, ({ body }) => {
    const values = capabilityValues(body) ?? {};
    for (const name of ["max_msg_fds", "max_data_xfer_size", "max_dma_maps", "pgsizes"]) {
      const value = values[name];
      if (value !== undefined) demand(typeof value === "number", `a number for ${name}`, JSON.stringify(value));
    }
    const { write_multiple: multiple, twin_socket: twin } = values;
    if (multiple !== undefined)
      demand(typeof multiple === "boolean", "a boolean for write_multiple", JSON.stringify(multiple));
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
    demand(
      ((address | size) & PAGE) === 0n && size > 0n,
      "whole pages of 4 KiB",
      `${size} bytes at 0x${address.toString(16)}`,
    );
  }),
  offset_is_zero_without_a_descriptor: each(DMA_MAP, (entry) => {
    if (entry.descriptors === 0)
      demand(wide(entry, 8) === 0n, "offset 0 of memory without a descriptor", wide(entry, 8));
  }),
  at_most_one_descriptor_comes_along: each(DMA_MAP, ({ descriptors }) =>
    demand(descriptors <= 1, "at most one descriptor", descriptors),
  ),
  maps_do_not_overlap: (record) => {
    each(DMA_MAP, () => undefined)(record);
    walkMaps(record, (entry, living) => {
      if (entry.command !== DMA_MAP) return;
      const { start, last } = rangeOf(wide(entry, 16), wide(entry, 24));
      demand(!living.overlaps(start, last), "a range that is not mapped", `0x${start.toString(16)}, which is`);
    });
  },
  at_most_max_dma_maps_live: (record) => {
    each(DMA_MAP, () => undefined)(record);
    walkMaps(record, (_entry, { size }) => demand(size <= MAX_MAPS, `at most ${MAX_MAPS} maps`, size));
  },
});

const dmaUnmapChecks = family("dma_unmap", "VFIO_USER_DMA_UNMAP", CONFORMING.name, {
  argsz_has_room_for_the_reply: each(DMA_UNMAP, (entry) => requireArgsz(entry, 24)),
  flags_are_zero: each(DMA_UNMAP, (entry) => requireZeros(entry, [4])),
  range_is_that_of_a_map: (record) => {
    each(DMA_UNMAP, () => undefined)(record);
    walkMaps(record, (entry, living) => {
      if (entry.command !== DMA_UNMAP) return;
      const { start, last } = rangeOf(wide(entry, 8), wide(entry, 16));
      const map = living.find(start);
      const isExact = map?.start === start && map.last === last;
      demand(isExact, "exactly the range of a map", `${wide(entry, 16)} bytes at 0x${start.toString(16)}`);
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
  demand(
    offset + BigInt(count) <= size,
    `an access inside the ${size} bytes of region ${region}`,
    `${count} at ${offset}`,
  );
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

/** Everything that the harness demands of a client, those of one scenario after the other. */
export const CLIENT_CHECKS: readonly ClientCheck[] = [
  ...headerChecks,
  ...versionChecks,
  ...dmaMapChecks,
  ...dmaUnmapChecks,
  ...infoChecks,
  ...irqChecks,
  ...accessChecks,
  ...faultChecks,
];

/** The scenarios, in the order in which clients meet them. Each call gives new ones, because one may have a state. */
export function clientScenarios(): readonly Scenario[] {
  return [CONFORMING, askingScenario(), ...Object.values(REFUSED_SCENARIOS), ...Object.values(FAULT_SCENARIOS)];
}
