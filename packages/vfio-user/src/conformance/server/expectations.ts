import { demand, Departure } from "../check";
import { type Arrival, type Conversation, describe, errnoText, type Frame } from "../wire/conversation";
import { isError } from "../wire/header-flags";

/** A reply without error and with exactly `length` bytes behind the header. */
export function requireSuccess(reply: Frame, length: number): void {
  demand(
    !isError(reply) && reply.body.length === length,
    `success, with ${length} bytes behind the header`,
    describe(reply),
  );
}

/** An error reply; with `errno`, this one. */
export function requireError(reply: Frame, what: string, errno?: number): void {
  const wanted = errno === undefined ? `an error for ${what}` : `${errnoText(errno)} for ${what}`;
  demand(isError(reply) && (errno === undefined || reply.error === errno), wanted, describe(reply));
}

/** The server answers with an error, or ends the connection. */
export function requireRefused(conversation: Conversation, what: string): Arrival {
  const arrival = conversation.listenForReply();
  const refused = arrival === "closed" || (typeof arrival !== "string" && isError(arrival));
  if (!refused) throw new Departure(`an error or the end of the connection for ${what}`, describe(arrival));
  return arrival;
}

/** "argsz defines the maximum expected reply payload size": no reply may have more, and none fits into less than `needed`. */
export function requireArgszObeyed(reply: Frame, argsz: number, needed: number): void {
  demand(
    isError(reply) || reply.body.length <= argsz,
    `an error for an argsz of ${argsz} (the reply needs ${needed})`,
    describe(reply),
  );
}
