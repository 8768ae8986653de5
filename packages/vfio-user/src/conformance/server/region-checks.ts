import { demand, NotApplicable } from "../check";
import { join, u32At, u64, u64At } from "../wire/bytes";
import { type Conversation, describe, type Frame } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { access, oneWrite } from "../wire/messages";
import { CONFIG_REGION, INTERRUPT_LINE, REGION_READ_FLAG, REGION_WRITE_FLAG } from "./device-facts";
import { requireError, requireSuccess } from "./expectations";
import { family } from "./family";
import type { ServerUnderTest } from "./server-under-test";

function requireEcho({ body }: Frame, region: number, offset: bigint, count: number): void {
  demand(u64At(body, 0) === offset, `offset ${offset} in the reply`, u64At(body, 0));
  demand(u32At(body, 8) === region, `region ${region} in the reply`, u32At(body, 8));
  demand(u32At(body, 12) === count, `count ${count} in the reply`, u32At(body, 12));
}

/** Reads, and requires the reply that belongs to it. */
function read(conversation: Conversation, region: number, offset: bigint, count: number): Uint8Array {
  const reply = conversation.ask("REGION_READ", access(region, offset, count));
  requireSuccess(reply, 16 + count);
  requireEcho(reply, region, offset, count);
  return reply.body.subarray(16);
}

function write(conversation: Conversation, region: number, offset: bigint, data: Uint8Array): void {
  const reply = conversation.ask("REGION_WRITE", access(region, offset, data.length, data));
  requireSuccess(reply, 16);
  requireEcho(reply, region, offset, data.length);
}

interface Range {
  readonly what: string;
  readonly offset: bigint;
  readonly count: number;
}

/** Ranges that do not lie inside a region of this size. */
const rangesBeyond = (size: bigint): readonly Range[] => [
  { what: "that begins with the last byte", offset: size - 1n, count: 2 },
  { what: "that begins behind the last byte", offset: size, count: 1 },
  { what: "at 2^63", offset: 1n << 63n, count: 4 },
  { what: "that wraps at 2^64", offset: (1n << 64n) - 2n, count: 4 },
];

/** The first index from 0 on with no region behind it. */
function absentRegion(server: ServerUnderTest): { conversation: Conversation; absent: number; count: number } {
  const { conversation, facts } = server.device();
  const present = new Set(facts.regions().map(({ index }) => index));
  const absent = Array.from({ length: facts.regionCount }, (_, index) => index).find((index) => !present.has(index));
  return { conversation, absent: absent ?? facts.regionCount, count: facts.regionCount };
}

/** A region of the device that does not allow this access. */
function closedRegion(
  server: ServerUnderTest,
  flag: number,
  word: string,
): { conversation: Conversation; index: number } {
  const { conversation, facts } = server.device();
  const found = facts.regions().find(({ flags }) => (flags & flag) === 0);
  if (found === undefined)
    throw new NotApplicable(`every region can be ${word}`, "serve a device with one that cannot");
  return { conversation, index: found.index };
}

/** Puts back the interrupt line that a check changes. */
function withInterruptLine(server: ServerUnderTest, use: (conversation: Conversation, old: number) => void): void {
  const { conversation, facts } = server.device();
  facts.config();
  const [old = 0] = read(conversation, CONFIG_REGION, INTERRUPT_LINE, 1);
  use(conversation, old);
  write(conversation, CONFIG_REGION, INTERRUPT_LINE, Uint8Array.of(old));
}

export const regionReadChecks = family("region_read", "VFIO_USER_REGION_READ", {
  reply_has_the_data: (server) => {
    const conversation = server.greeted();
    for (const count of [1, 2, 4]) read(conversation, CONFIG_REGION, 0n, count);
  },
  widths_agree: (server) => {
    const conversation = server.greeted();
    const whole = read(conversation, CONFIG_REGION, 0n, 4);
    const bytes = [0n, 1n, 2n, 3n].flatMap((offset) => [...read(conversation, CONFIG_REGION, offset, 1)]);
    demand(
      whole.every((byte, i) => byte === bytes[i]),
      `the bytes ${[...whole].join(" ")} read one by one`,
      bytes.join(" "),
    );
  },
  a_whole_region_can_be_read: (server) => {
    const { conversation, facts } = server.device();
    read(conversation, CONFIG_REGION, 0n, Number(facts.config().size));
  },
  last_byte_can_be_read: (server) => {
    const { conversation, facts } = server.device();
    read(conversation, CONFIG_REGION, facts.config().size - 1n, 1);
  },
  beyond_the_end_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const { what, offset, count } of rangesBeyond(facts.config().size)) {
      requireError(conversation.ask("REGION_READ", access(CONFIG_REGION, offset, count)), `an access ${what}`);
    }
  },
  absent_region_is_an_error: (server) => {
    const { conversation, absent, count } = absentRegion(server);
    for (const region of [absent, count, 0xffff_ffff]) {
      requireError(conversation.ask("REGION_READ", access(region, 0n, 4)), `region ${region}`);
    }
  },
  write_only_region_is_an_error: (server) => {
    const { conversation, index } = closedRegion(server, REGION_READ_FLAG, "read");
    requireError(conversation.ask("REGION_READ", access(index, 0n, 4)), `region ${index}, which cannot be read`);
  },
  more_than_max_data_xfer_size_is_an_error: (server) => {
    const { conversation, capabilities } = server.greetedWith();
    for (const count of [capabilities.maxDataTransfer + 1, 0x8000_0000, 0xffff_ffff]) {
      if (count > 0xffff_ffff) continue;
      requireError(conversation.ask("REGION_READ", access(CONFIG_REGION, 0n, count)), `a count of ${count}`);
    }
  },
  no_byte_does_no_harm: (server) => {
    const conversation = server.greeted();
    const reply = conversation.ask("REGION_READ", access(CONFIG_REGION, 0n, 0));
    demand(isError(reply) || reply.body.length === 16, "an error, or a reply without data", describe(reply));
  },
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const length of [0, 8, 15]) {
      const reply = conversation.ask("REGION_READ", access(CONFIG_REGION, 0n, 4).subarray(0, length));
      requireError(reply, `a body of ${length} bytes`);
    }
  },
});

export const regionWriteChecks = family("region_write", "VFIO_USER_REGION_WRITE", {
  a_written_register_keeps_its_value: (server) =>
    withInterruptLine(server, (conversation, old) => {
      for (const value of [old ^ 0xff, 0x5a]) {
        write(conversation, CONFIG_REGION, INTERRUPT_LINE, Uint8Array.of(value));
        const [came = -1] = read(conversation, CONFIG_REGION, INTERRUPT_LINE, 1);
        demand(came === value, `${value} in the interrupt line of configuration space`, came);
      }
    }),
  a_write_without_reply_is_done_before_the_next_command: (server) =>
    withInterruptLine(server, (conversation, old) => {
      const value = old ^ 0x0f;
      const body = access(CONFIG_REGION, INTERRUPT_LINE, 1, Uint8Array.of(value));
      conversation.post("REGION_WRITE", body);
      const [came = -1] = read(conversation, CONFIG_REGION, INTERRUPT_LINE, 1);
      demand(came === value, `${value}, written with No_reply`, came);
    }),
  beyond_the_end_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const { what, offset, count } of rangesBeyond(facts.config().size)) {
      const body = access(CONFIG_REGION, offset, count, new Uint8Array(count));
      requireError(conversation.ask("REGION_WRITE", body), `an access ${what}`);
    }
  },
  absent_region_is_an_error: (server) => {
    const { conversation, absent, count } = absentRegion(server);
    for (const region of [absent, count, 0xffff_ffff]) {
      requireError(conversation.ask("REGION_WRITE", access(region, 0n, 4, new Uint8Array(4))), `region ${region}`);
    }
  },
  read_only_region_is_an_error: (server) => {
    const { conversation, index } = closedRegion(server, REGION_WRITE_FLAG, "written");
    const body = access(index, 0n, 4, new Uint8Array(4));
    requireError(conversation.ask("REGION_WRITE", body), `region ${index}, which cannot be written`);
  },
  less_data_than_the_count_is_an_error: (server) =>
    withInterruptLine(server, (conversation, old) => {
      for (const [count, length] of [
        [4, 3],
        [1, 0],
        [0x8000_0000, 1],
        [0xffff_ffff, 1],
      ] as const) {
        const body = access(CONFIG_REGION, INTERRUPT_LINE, count, new Uint8Array(length).fill(old ^ 0xff));
        requireError(conversation.ask("REGION_WRITE", body), `a count of ${count} with ${length} bytes`);
      }
      const [came = -1] = read(conversation, CONFIG_REGION, INTERRUPT_LINE, 1);
      demand(came === old, `${old} still in the interrupt line`, came);
    }),
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const length of [0, 8, 15]) {
      const reply = conversation.ask("REGION_WRITE", access(CONFIG_REGION, 0n, 0).subarray(0, length));
      requireError(reply, `a body of ${length} bytes`);
    }
  },
});

/** A connection to a server that takes several writes in one message. */
function multiWriter(server: ServerUnderTest): Conversation {
  const { conversation, capabilities } = server.greetedWith();
  if (capabilities.writeMultiple) return conversation;
  throw new NotApplicable("the server does not say write_multiple", "none: the capability is optional");
}

const line = (value: number, { count = 1, offset = INTERRUPT_LINE } = {}): Uint8Array =>
  oneWrite(CONFIG_REGION, offset, count, u64(BigInt(value)));

export const writeMultiChecks = family("write_multi", "VFIO_USER_REGION_WRITE_MULTI", {
  writes_are_done_in_their_order: (server) => {
    multiWriter(server);
    server.closeAll();
    withInterruptLine(server, (conversation) => {
      const reply = conversation.ask("REGION_WRITE_MULTI", join(u64(3n), line(1), line(2), line(3)));
      requireSuccess(reply, 8);
      demand(u64At(reply.body, 0) === 3n, "wr_cnt 3", u64At(reply.body, 0));
      const [came = -1] = read(conversation, CONFIG_REGION, INTERRUPT_LINE, 1);
      demand(came === 3, "the value of the last write, 3", came);
    });
  },
  more_writes_than_came_are_an_error: (server) => {
    const conversation = multiWriter(server);
    for (const count of [2n, 1n << 32n, (1n << 64n) - 1n]) {
      requireError(
        conversation.ask("REGION_WRITE_MULTI", join(u64(count), line(0))),
        `a wr_cnt of ${count} with 1 write`,
      );
    }
  },
  more_than_8_bytes_are_an_error: (server) => {
    const conversation = multiWriter(server);
    for (const count of [9, 0xffff_ffff]) {
      requireError(
        conversation.ask("REGION_WRITE_MULTI", join(u64(1n), line(0, { count }))),
        `a write of ${count} bytes`,
      );
    }
  },
  beyond_the_end_is_an_error: (server) => {
    const conversation = multiWriter(server);
    const body = join(u64(1n), line(0, { offset: (1n << 64n) - 1n, count: 4 }));
    requireError(conversation.ask("REGION_WRITE_MULTI", body), "a write that wraps at 2^64");
  },
  truncated_request_is_an_error: (server) => {
    const conversation = multiWriter(server);
    requireError(conversation.ask("REGION_WRITE_MULTI", u64(1n).subarray(0, 4)), "a body of 4 bytes");
  },
});
