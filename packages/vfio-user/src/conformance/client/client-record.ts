import { TYPE_COMMAND, TYPE_MASK } from "../../protocol/structs";

/** A message of a conversation with a client. */
export interface Entry {
  readonly from: "client" | "server";
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly error: number;
  readonly body: Uint8Array;
  /** Descriptors that came or went along. Infinity: more than a message may have. */
  readonly descriptors: number;
}

/** How a conversation ended. */
export type Ending =
  /** The client closed the connection. */
  | "client"
  /** This end did, because the client said something that nobody understands, or because the scenario wants that. */
  | "server"
  /** The client said nothing more, and kept the connection. */
  | "time";

/** What a client said, and what it was told. */
export interface ClientRecord {
  readonly entries: readonly Entry[];
  readonly ending: Ending;
  /** How the client's process ended, where somebody started it and it ended by itself. */
  readonly process?: { readonly code: number | null; readonly signal: string | null };
}

/** The client's commands with this number, or all. */
export function commandsOf({ entries }: ClientRecord, ...numbers: readonly number[]): Entry[] {
  return entries.filter(
    ({ from, flags, command }) =>
      from === "client" && isCommand(flags) && (numbers.length === 0 || numbers.includes(command)),
  );
}

/** The reply that follows a command. */
export function replyTo({ entries }: ClientRecord, command: Entry): Entry | undefined {
  const from = command.from === "client" ? "server" : "client";
  return entries
    .slice(entries.indexOf(command) + 1)
    .find((entry) => entry.from === from && !isCommand(entry.flags) && entry.id === command.id);
}

export function isCommand(flags: number): boolean {
  return (flags & TYPE_MASK) === TYPE_COMMAND;
}
