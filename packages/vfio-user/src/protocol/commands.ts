import type { StructLayout, U32Field, U64Field } from "@vfio-selftests/core/uapi";
import { MAX_BITMAP, MAX_CAPABILITIES_TEXT, MAX_DATA_TRANSFER, MAX_MESSAGE_FDS, MAX_MULTI_WRITES } from "./limits";
import * as structs from "./structs";

/** What follows the fixed part of a body. */
export type Tail =
  | { readonly kind: "none" }
  /** Anything at all, which the receiver ignores, as libvfio-user does (SPDK sends the room for the reply along). */
  | { readonly kind: "ignored" }
  /** `count` records of `size` bytes each, as many as `field` says, at most `max`. */
  | { readonly kind: "counted"; readonly field: U32Field | U64Field; readonly size: number; readonly max: number }
  /** From 0 to `max` bytes. The message's size says how many. */
  | { readonly kind: "open"; readonly max: number };

/** One direction of a command: the layout of its body, and how many descriptors mean something. */
export interface Shape {
  readonly fixed: StructLayout;
  readonly tail: Tail;
  /** More may come (SPDK sends one with DMA_UNMAP). The receiver closes them. */
  readonly fds: number;
}

export interface Command {
  readonly name: string;
  readonly number: number;
  readonly from: "client" | "server";
  readonly request: Shape;
  readonly reply: Shape;
}

const NONE: Tail = { kind: "none" };
const IGNORED: Tail = { kind: "ignored" };
const open = (max: number): Tail => ({ kind: "open", max });
const bytes = (field: U32Field | U64Field): Tail => ({ kind: "counted", field, size: 1, max: MAX_DATA_TRANSFER });

function request(fixed: StructLayout, tail: Tail = IGNORED, fds = 0): Shape {
  return { fixed, tail, fds };
}

function reply(fixed: StructLayout, tail: Tail = NONE, fds = 0): Shape {
  return { fixed, tail, fds };
}

/** Most bytes of a capability chain, or of the data to set a feature: far more than any device has. */
const MAX_CHAIN = 64 * 1024;

const { region_access, dma_access, write_multi, mig_data } = structs;

/** Every command of the protocol, under the specification's name without its prefix VFIO_USER_. */
export const Commands = {
  VERSION: {
    number: 1,
    from: "client",
    request: request(structs.version, open(MAX_CAPABILITIES_TEXT)),
    // One of the descriptors may be the twin socket.
    reply: reply(structs.version, open(MAX_CAPABILITIES_TEXT), MAX_MESSAGE_FDS),
  },
  DMA_MAP: { number: 2, from: "client", request: request(structs.dma_map, IGNORED, 1), reply: reply(structs.nothing) },
  DMA_UNMAP: {
    number: 3,
    from: "client",
    request: request(structs.dma_unmap),
    reply: reply(structs.dma_unmap, open(MAX_CHAIN)),
  },
  DEVICE_GET_INFO: {
    number: 4,
    from: "client",
    request: request(structs.device_info),
    reply: reply(structs.device_info),
  },
  DEVICE_GET_REGION_INFO: {
    number: 5,
    from: "client",
    request: request(structs.region_info),
    reply: reply(structs.region_info, open(MAX_CHAIN), 1),
  },
  DEVICE_GET_REGION_IO_FDS: {
    number: 6,
    from: "client",
    request: request(structs.region_io_fds),
    reply: reply(structs.region_io_fds, open(MAX_CHAIN), MAX_MESSAGE_FDS),
  },
  DEVICE_GET_IRQ_INFO: {
    number: 7,
    from: "client",
    request: request(structs.irq_info),
    reply: reply(structs.irq_info),
  },
  DEVICE_SET_IRQS: {
    number: 8,
    from: "client",
    request: request(structs.irq_set, open(MAX_CHAIN), MAX_MESSAGE_FDS),
    reply: reply(structs.nothing),
  },
  REGION_READ: {
    number: 9,
    from: "client",
    request: request(region_access),
    reply: reply(region_access, bytes(region_access.fields.count)),
  },
  REGION_WRITE: {
    number: 10,
    from: "client",
    request: request(region_access, bytes(region_access.fields.count)),
    reply: reply(region_access),
  },
  DMA_READ: {
    number: 11,
    from: "server",
    request: request(dma_access),
    reply: reply(dma_access, bytes(dma_access.fields.count)),
  },
  DMA_WRITE: {
    number: 12,
    from: "server",
    request: request(dma_access, bytes(dma_access.fields.count)),
    // The reply's count has 4 bytes in the specification and 8 in libvfio-user. QEMU answers with the header alone.
    reply: reply(structs.nothing, open(dma_access.size)),
  },
  DEVICE_RESET: { number: 13, from: "client", request: request(structs.nothing), reply: reply(structs.nothing) },
  /** From an early version. Its number is not used again. */
  DIRTY_PAGES: {
    number: 14,
    from: "client",
    request: request(structs.nothing),
    reply: reply(structs.nothing, open(MAX_CHAIN)),
  },
  REGION_WRITE_MULTI: {
    number: 15,
    from: "client",
    request: request(write_multi, {
      kind: "counted",
      field: write_multi.fields.count,
      size: structs.write_one.size,
      max: MAX_MULTI_WRITES,
    }),
    reply: reply(write_multi),
  },
  DEVICE_FEATURE: {
    number: 16,
    from: "client",
    request: request(structs.device_feature, open(MAX_CHAIN)),
    reply: reply(structs.device_feature, open(structs.dma_logging_report.size + MAX_BITMAP)),
  },
  MIG_DATA_READ: {
    number: 17,
    from: "client",
    request: request(mig_data),
    // libvfio-user sends as many bytes as were asked for, and `size` says how many of them are data.
    reply: reply(mig_data, open(MAX_DATA_TRANSFER)),
  },
  MIG_DATA_WRITE: {
    number: 18,
    from: "client",
    request: request(mig_data, bytes(mig_data.fields.size)),
    reply: reply(structs.nothing),
  },
} as const satisfies Readonly<Record<string, Omit<Command, "name">>>;

export type CommandName = keyof typeof Commands;

const BY_NUMBER: readonly (Command | undefined)[] = (() => {
  const table: (Command | undefined)[] = [];
  for (const [name, command] of Object.entries(Commands)) table[command.number] = { name, ...command };
  return table;
})();

/** The command with this number; undefined if the protocol has none. */
export function commandOf(number: number): Command | undefined {
  return BY_NUMBER[number];
}

/** `VFIO_USER_DMA_MAP` for 2. */
export function commandName(number: number): string {
  const command = commandOf(number);
  return command === undefined ? `vfio-user command ${number}` : `VFIO_USER_${command.name}`;
}
