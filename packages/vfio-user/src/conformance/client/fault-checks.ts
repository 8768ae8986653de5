import { demand, NotApplicable } from "../check";
import { CONFIG_REGION } from "../server/device-facts";
import { capabilityValues } from "../server/server-under-test";
import { u32At, u64At } from "../wire/bytes";
import { DMA_WRITE, REGION_WRITE, VERSION } from "../wire/commands";
import { errnoText } from "../wire/conversation";
import { isCommand, isError } from "../wire/header-flags";
import { type ClientCheck, family, field, nameOf, wide } from "./client-family";
import { type ClientRecord, commandsOf, type Entry, replyTo } from "./client-record";
import { ASKED, ASKED_BYTES, askingScenario, FAULT_SCENARIOS, REFUSED_SCENARIOS } from "./scenario";

/** The client's reply to something that the server asked. */
function answer(record: ClientRecord, id: number): { asked: Entry; reply: Entry } {
  const asked = record.entries.find((entry) => entry.from === "server" && isCommand(entry) && entry.id === id);
  if (asked === undefined) {
    throw new NotApplicable("the client mapped no memory that could be asked for", "use a client that maps memory");
  }
  const reply = replyTo(record, asked);
  demand(reply !== undefined, `a reply to ${nameOf(asked)}`, "none");
  demand(reply.command === asked.command, `the command of ${nameOf(asked)} in the reply`, reply.command);
  return { asked, reply };
}

const COMMAND_REGISTER = 4n;
const BUS_MASTER = 4;

/** Whether the client has set Bus Master Enable in the command register of configuration space. */
function isBusMaster(record: ClientRecord): boolean {
  return commandsOf(record, REGION_WRITE).some(
    (entry) =>
      entry.body.length > 16 &&
      field(entry, 8) === CONFIG_REGION &&
      wide(entry, 0) === COMMAND_REGISTER &&
      ((entry.body[16] ?? 0) & BUS_MASTER) !== 0,
  );
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
      if (isError(reply) && !isBusMaster(record)) {
        throw new NotApplicable(
          `the client refuses DMA (${errnoText(reply.error)}) of a device that it did not make bus master`,
          "use a client that sets Bus Master Enable in the command register before it maps memory",
        );
      }
      demand(!isError(reply), "the bytes of mapped memory", `an error (${errnoText(reply.error)})`);
      const { body } = reply;
      demand(body.length === 16 + ASKED_BYTES, `${16 + ASKED_BYTES} bytes behind the header`, body.length);
      demand(u64At(body, 0) === wide(asked, 0), "the address of the request", u64At(body, 0));
      demand(
        u64At(body, 8) === BigInt(ASKED_BYTES),
        `a count of ${ASKED_BYTES}, in 8 bytes`,
        `0x${u64At(body, 8).toString(16)}`,
      );
    },
    memory_that_is_not_mapped_is_an_error: (record) =>
      requireRefusal(record, ASKED.outside, "memory that is not mapped"),
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
        throw new NotApplicable(
          "nobody saw how the client ended",
          "let this command start the client: -- command {socket}",
        );
      }
      const { signal } = process;
      demand(signal === null, `a client that survives ${scenario.name}`, `one that ${signal ?? ""} ended`);
    },
  }),
);

/** What a client does when its server asks for memory, and when its server is at fault. */
export const faultChecks: readonly ClientCheck[] = [...memoryChecks, ...refusalChecks, ...survivalChecks];
