import { VfioError } from "@vfio-selftests/core";
import { demand, Departure } from "../check";
import { VERSION } from "../wire/commands";
import { Conversation, describe, type Peer } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { frame, version } from "../wire/messages";
import { DeviceFacts } from "./device-facts";

/** What a well-meaning client proposes: every capability of the specification but the twin socket. */
export const PROPOSAL = JSON.stringify({
  capabilities: {
    max_msg_fds: 16,
    max_data_xfer_size: 1_048_576,
    max_dma_maps: 65_535,
    pgsizes: 4096,
    write_multiple: true,
  },
});

/** What a server said of itself in its reply to VFIO_USER_VERSION, as far as it has the right types. */
export interface ServerCapabilities {
  readonly maxMessageFds: number;
  readonly maxDataTransfer: number;
  readonly maxDmaMaps: number;
  readonly writeMultiple: boolean;
}

/** A server, and the connections of one check to it. It serves one at a time, so a check closes one before the next. */
export class ServerUnderTest implements Disposable {
  readonly #connect: () => Peer;
  readonly #conversations: Conversation[] = [];

  /** `connect` throws when there is no server any more. */
  constructor(connect: () => Peer) {
    this.#connect = connect;
  }

  /** A connection on which nothing has been said. */
  connect(): Conversation {
    const conversation = new Conversation(this.#peer());
    this.#conversations.push(conversation);
    return conversation;
  }

  /** A connection after the exchange of versions. */
  greeted(proposal = PROPOSAL): Conversation {
    return this.greetedWith(proposal).conversation;
  }

  /** The same, and what the server told of itself. */
  greetedWith(proposal = PROPOSAL): { conversation: Conversation; capabilities: ServerCapabilities } {
    const conversation = this.connect();
    const reply = conversation.ask("VERSION", version(0, 0, proposal));
    demand(!isError(reply), "a reply to version 0.0", describe(reply));
    return { conversation, capabilities: capabilitiesOf(reply.body) };
  }

  /** A connection after the exchange of versions, and what the server tells of its device there. */
  device(): { conversation: Conversation; facts: DeviceFacts } {
    const conversation = this.greeted();
    return { conversation, facts: new DeviceFacts(conversation) };
  }

  /** A new client gets an answer. */
  requireAlive(): void {
    this.closeAll();
    const conversation = this.connect();
    conversation.send(frame(VERSION, version(0, 0, PROPOSAL)));
    const arrival = conversation.listen();
    demand(typeof arrival !== "string", "that the next client is served", describe(arrival));
    this.closeAll();
  }

  closeAll(): void {
    for (const conversation of this.#conversations.splice(0)) conversation.close();
  }

  #peer(): Peer {
    try {
      return this.#connect();
    } catch (error) {
      if (error instanceof VfioError) throw new Departure("a server to connect to", error.message);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.closeAll();
  }
}

/** The values of the reply to VERSION that checks use; the specification's defaults for what is not there or no number. */
function capabilitiesOf(body: Uint8Array): ServerCapabilities {
  const values = capabilityValues(body) ?? {};
  const number = (key: string, absent: number): number => (typeof values[key] === "number" ? values[key] : absent);
  return {
    maxMessageFds: number("max_msg_fds", 1),
    maxDataTransfer: number("max_data_xfer_size", 1_048_576),
    maxDmaMaps: number("max_dma_maps", 65_535),
    writeMultiple: values["write_multiple"] === true,
  };
}

/** The object `capabilities` of a VERSION message. Undefined where the text is not as the specification has it. */
export function capabilityValues(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  const text = new TextDecoder().decode(body.subarray(4)).replace(/\0$/, "");
  if (text === "") return {};
  try {
    const { capabilities = {} } = JSON.parse(text) as { capabilities?: Readonly<Record<string, unknown>> };
    return typeof capabilities === "object" ? capabilities : undefined;
  } catch {
    return undefined;
  }
}
