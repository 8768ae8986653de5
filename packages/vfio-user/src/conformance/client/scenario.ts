import { u32At, u64At } from "../wire/bytes";
import { join, u16, u32, u64 } from "../wire/bytes";
import { DMA_MAP, DMA_READ, DMA_WRITE, GET_INFO, REGION_INFO, VERSION } from "../wire/commands";
import { ERROR, isError, REPLY } from "../wire/header-flags";
import { frame } from "../wire/messages";
import type { Entry } from "./client-record";

/** What one client meets: a server as it should be, one that asks for memory, or one with a fault. */
export interface Scenario {
  /** Its name in results. */
  readonly name: string;
  /** Changes a reply. `close`: nothing follows it. */
  reply?(bytes: Buffer, request: Entry): { readonly bytes: Buffer; readonly close?: boolean } | undefined;
  /** What the server says of itself after a reply. */
  replied?(request: Entry, reply: Buffer): readonly Buffer[];
  /** What the server says after a reply of the client's. */
  heard?(reply: Entry): readonly Buffer[];
}

const UNKNOWN = 0x7fff;
const EIO = 5;

/** Ids of what the server asks, by its purpose. */
export const ASKED = { read: 0x7001, outside: 0x7002, unknown: 0x7003, write: 0x7004 } as const;
/** Bytes that the server asks for. */
export const ASKED_BYTES = 4;
/** Where clients map nothing: the last pages of the address space. */
const OUTSIDE = 0xffff_ffff_ffff_0000n;

export const CONFORMING: Scenario = { name: "conforming" };

/** A server that asks for memory on the socket of the client's commands, once the client has mapped some. */
export function askingScenario(): Scenario {
  let asked = false;
  let address = 0n;
  let writable = false;
  const access = (at: bigint): Uint8Array => u64(at, BigInt(ASKED_BYTES));
  return {
    name: "asking",
    // Without a twin socket, which a server need not offer.
    reply: (bytes, request) =>
      request.command === VERSION && isSuccess(bytes)
        ? {
            bytes: versionReply(request, {
              max_msg_fds: 16,
              max_data_xfer_size: 1_048_576,
              pgsizes: 4096,
              max_dma_maps: 65_535,
            }),
          }
        : undefined,
    replied: (request, reply) => {
      const flags = request.command === DMA_MAP && request.body.length >= 32 ? u32At(request.body, 4) : 0;
      if (asked || (flags & 1) === 0 || !isSuccess(reply)) return [];
      asked = true;
      address = u64At(request.body, 16);
      writable = (flags & 2) !== 0;
      return [
        Buffer.from(frame(DMA_READ, access(address), { id: ASKED.read })),
        Buffer.from(frame(DMA_READ, access(OUTSIDE), { id: ASKED.outside })),
        Buffer.from(frame(UNKNOWN, u32(0), { id: ASKED.unknown })),
      ];
    },
    heard: (reply) => {
      const { id, body } = reply;
      if (id !== ASKED.read || isError(reply) || body.length < 16 + ASKED_BYTES || !writable) return [];
      // The same bytes, so that a guest does not notice.
      return [
        Buffer.from(frame(DMA_WRITE, join(access(address), body.slice(16, 16 + ASKED_BYTES)), { id: ASKED.write })),
      ];
    },
  };
}

const isSuccess = (bytes: Buffer): boolean => !isError({ flags: bytes.readUInt32LE(8) });

function versionReply({ id }: Pick<Entry, "id">, capabilities: object, major = 0, minor = 0): Buffer {
  const json = new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
  return Buffer.from(frame(VERSION, join(u16(major, minor), json), { id, flags: REPLY }));
}

/** A scenario that changes the replies to one command. */
function faulty(
  name: string,
  command: number,
  change: (bytes: Buffer, request: Entry) => { readonly bytes: Buffer; readonly close?: boolean },
): Scenario {
  return { name, reply: (bytes, request) => (request.command === command ? change(bytes, request) : undefined) };
}

/** Faults of a server after which a client has to close the connection. */
export const REFUSED_SCENARIOS = {
  anotherMajor: faulty("major version 7 in the reply", VERSION, (_bytes, request) => ({
    bytes: versionReply(request, {}, 7),
  })),
  twinWithoutDescriptor: faulty("a twin socket whose descriptor is missing", VERSION, (_bytes, request) => ({
    bytes: versionReply(request, { max_msg_fds: 16, twin_socket: { supported: true, fd_index: 9 } }),
  })),
} as const;

/** Faults of a server that a client must survive, by the names of their checks. */
export const FAULT_SCENARIOS: Readonly<Record<string, Scenario>> = {
  a_later_minor: faulty("minor version 65535 in the reply", VERSION, (_bytes, request) => ({
    bytes: versionReply(request, {}, 0, 0xffff),
  })),
  capabilities_of_the_wrong_type: faulty("max_msg_fds as an object", VERSION, (_bytes, request) => ({
    bytes: versionReply(request, { max_msg_fds: {}, max_data_xfer_size: -1, pgsizes: "x", max_dma_maps: 1e300 }),
  })),
  no_json: faulty("data that are no JSON", VERSION, (_bytes, { id }) => ({
    bytes: Buffer.from(frame(VERSION, join(u16(0, 0), new TextEncoder().encode("{{{")), { id, flags: REPLY })),
  })),
  an_error: faulty("an error for DEVICE_GET_INFO", GET_INFO, (_bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, undefined, { id, flags: REPLY | ERROR, error: EIO })),
  })),
  a_short_reply: faulty("4 of 16 bytes for DEVICE_GET_INFO", GET_INFO, (_bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, u32(16), { id, flags: REPLY })),
  })),
  a_reply_that_is_too_long: faulty("4 KiB for DEVICE_GET_INFO", GET_INFO, (bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, join(bytes.subarray(16), new Uint8Array(4080)), { id, flags: REPLY })),
  })),
  another_id: faulty("another id in the reply to DEVICE_GET_INFO", GET_INFO, (bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, bytes.subarray(16), { id: id ^ 0x5555, flags: REPLY })),
  })),
  another_command: faulty("the reply to another command", GET_INFO, (bytes, { id }) => ({
    bytes: Buffer.from(frame(REGION_INFO, bytes.subarray(16), { id, flags: REPLY })),
  })),
  a_size_below_the_header: faulty("a message size of 4", GET_INFO, (bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, bytes.subarray(16), { id, flags: REPLY, size: 4 })),
  })),
  a_huge_size: faulty("a message size of 2^32 - 1", GET_INFO, (bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, bytes.subarray(16), { id, flags: REPLY, size: 0xffff_ffff })),
  })),
  half_a_reply: faulty("half a reply, and then the end", GET_INFO, (bytes) => ({
    bytes: bytes.subarray(0, 20),
    close: true,
  })),
  an_end_instead_of_a_reply: faulty("the end instead of a reply", GET_INFO, () => ({
    bytes: Buffer.alloc(0),
    close: true,
  })),
  noise: faulty("noise instead of a reply", GET_INFO, () => ({
    bytes: Buffer.from(Array.from({ length: 256 }, (_, i) => (i * 167 + 13) & 0xff)),
  })),
  a_capability_chain_that_leaves_the_reply: faulty(
    "a region whose capabilities lie elsewhere",
    REGION_INFO,
    (bytes, { id }) => {
      const body = Buffer.from(bytes.subarray(16));
      if (body.length >= 32) {
        body.writeUInt32LE(0xf, 4);
        body.writeUInt32LE(0xffff_fff0, 12);
      }
      return { bytes: Buffer.from(frame(REGION_INFO, body, { id, flags: REPLY })) };
    },
  ),
  a_region_of_2_to_the_63: faulty("regions of 2^63 bytes", REGION_INFO, (bytes, { id }) => {
    const body = Buffer.from(bytes.subarray(16));
    if (body.length >= 32) body.writeBigUInt64LE(1n << 63n, 16);
    return { bytes: Buffer.from(frame(REGION_INFO, body, { id, flags: REPLY })) };
  }),
  more_regions_than_can_be: faulty("2^32 - 1 regions and interrupts", GET_INFO, (_bytes, { id }) => ({
    bytes: Buffer.from(frame(GET_INFO, u32(16, 3, 0xffff_ffff, 0xffff_ffff), { id, flags: REPLY })),
  })),
};
