import { isCommand, NO_REPLY } from "../wire/header-flags";

/** A message of a conversation with a client. */
export interface Entry {
  readonly from: "client" | "server";
  readonly id: number;
  readonly command: number;
  /** As the header has it. */
  readonly size: number;
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
  /** The messages of both sides, in their order. */
  readonly entries: readonly Entry[];
  /** How the conversation ended. */
  readonly ending: Ending;
  /** How the client's process ended, where somebody started it and it ended by itself. */
  readonly process?: { readonly code: number | null; readonly signal: string | null };
}

/** The client's commands with this number, or all. */
export function commandsOf({ entries }: ClientRecord, ...numbers: readonly number[]): Entry[] {
  return entries.filter(
    (entry) => entry.from === "client" && isCommand(entry) && (numbers.length === 0 || numbers.includes(entry.command)),
  );
}

const pairs = new WeakMap<ClientRecord, ReadonlyMap<Entry, Entry>>();

/** The reply to a command of the record. */
export function replyTo(record: ClientRecord, command: Entry): Entry | undefined {
  let replies = pairs.get(record);
  if (replies === undefined) pairs.set(record, (replies = pairReplies(record)));
  return replies.get(command);
}

/** Ids may be used again, so a reply belongs to the oldest command of its id that waits for one. */
function pairReplies({ entries }: ClientRecord): ReadonlyMap<Entry, Entry> {
  const replies = new Map<Entry, Entry>();
  const waiting = new Map<string, Entry[]>();
  for (const entry of entries) {
    const asker = isCommand(entry) === (entry.from === "client") ? "client" : "server";
    const key = `${asker} ${entry.id}`;
    if (!isCommand(entry)) {
      const command = waiting.get(key)?.shift();
      if (command !== undefined) replies.set(command, entry);
    } else if ((entry.flags & NO_REPLY) === 0) {
      const others = waiting.get(key);
      if (others === undefined) waiting.set(key, [entry]);
      else others.push(entry);
    }
  }
  return replies;
}
