import { join, u16 } from "../../conformance/wire/bytes";
import {
  DMA_UNMAP,
  FEATURE,
  GET_INFO,
  IO_FDS,
  IRQ_INFO,
  REGION_INFO,
  REGION_READ,
  REGION_WRITE,
  VERSION,
  WRITE_MULTI,
} from "../../conformance/wire/commands";
import { ERROR, NO_REPLY, REPLY } from "../../conformance/wire/header-flags";
import { frame } from "../../conformance/wire/messages";
import type { Fault, Heard } from "../faulty-server";

/** A fault of a server, and the checks that must tell of it: those whose ids match. */
export type ServerFault = readonly [name: string, told: RegExp, fault: () => Fault];

export const EINVAL = 22;

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

export const isError = (bytes: Buffer): boolean => (bytes.readUInt32LE(8) & ERROR) !== 0;

/** A success, of zeros. */
export const success = ({ id, command }: Pick<Heard, "id" | "command">, body?: Uint8Array): Buffer =>
  Buffer.from(frame(command, body ?? new Uint8Array(REPLY_BYTES[command] ?? 0), { id, flags: REPLY }));

export const failure = ({ id, command }: Heard, body?: Uint8Array): Buffer =>
  Buffer.from(frame(command, body, { id, flags: REPLY | ERROR, error: EINVAL }));

export const isPlain = ({ command, flags, size, body }: Heard): boolean =>
  flags === 0 &&
  ((command === VERSION && size > 100 && size < 200) ||
    (command === GET_INFO && size === 32 && body[0] === 16 && body[1] === 0));

/** Changes the replies to one command that are no errors. */
export const inReplies =
  (wanted: number, change: (bytes: Buffer) => Buffer | undefined) =>
  (bytes: Buffer, { command }: Heard): Buffer | undefined =>
    command === wanted && !isError(bytes) ? (change(bytes) ?? undefined) : undefined;

/** Sets a byte of the body of a command's replies. */
export const wrongByte = (command: number, offset: number, value: number): Fault => ({
  reply: inReplies(command, (bytes) => {
    bytes[16 + offset] = value;
  }),
});

export const versionReply = (json: Uint8Array): Fault => ({
  reply: inReplies(VERSION, (bytes) => {
    const body = join(u16(0, 0), json);
    return Buffer.from(frame(VERSION, body, { id: bytes.readUInt16LE(0), flags: REPLY }));
  }),
});

export const text = (json: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(json)}\0`);

/** A success for the requests that `which` chooses, which are not served. */
export const ignores = (which: (request: Heard) => boolean): Fault => ({
  answer: (request) => {
    if (!which(request)) return undefined;
    return (request.flags & NO_REPLY) === 0 ? success(request) : null;
  },
});
