import { demand } from "../check";
import { DMA_MAP, DMA_UNMAP, GET_INFO, REGION_READ, RESET, SET_IRQS } from "../wire/commands";
import { type Conversation, describe } from "../wire/conversation";
import { NO_REPLY } from "../wire/header-flags";
import { access, deviceInfo, dmaMap, dmaUnmap, frame, irqSet } from "../wire/messages";
import { CONFIG_REGION } from "./device-facts";
import { requireSuccess } from "./expectations";
import { family } from "./family";
import type { ServerUnderTest } from "./server-under-test";

function resettable(server: ServerUnderTest): Conversation {
  const { conversation, facts } = server.device();
  facts.requireResettable();
  return conversation;
}

interface Ask {
  readonly command: number;
  readonly body: Uint8Array;
  /** Bytes of the reply's body. */
  readonly reply: number;
}

/** A reset, and what else a client does: reads, maps, unmaps, interrupts. */
const LOAD: readonly Ask[] = [
  { command: REGION_READ, body: access(CONFIG_REGION, 0n, 4), reply: 20 },
  { command: DMA_MAP, body: dmaMap({ address: 0n, size: 4096n }), reply: 0 },
  { command: RESET, body: new Uint8Array(), reply: 0 },
  { command: DMA_UNMAP, body: dmaUnmap({ address: 0n, size: 4096n }), reply: 24 },
  { command: GET_INFO, body: deviceInfo(), reply: 16 },
  { command: RESET, body: new Uint8Array(), reply: 0 },
];

export const resetChecks = family("device_reset", "VFIO_USER_DEVICE_RESET", {
  reply_has_no_payload: (server) => requireSuccess(resettable(server).ask("DEVICE_RESET"), 0),
  a_storm_is_answered_in_order: (server) => {
    const conversation = resettable(server);
    for (let round = 0; round < 20; round += 1) {
      const ids = Array.from({ length: 50 }, () => conversation.takeId());
      conversation.send(Buffer.concat(ids.map((id) => frame(RESET, new Uint8Array(), { id }))));
      for (const id of ids) requireSuccess(conversation.replyTo(id, RESET), 0);
    }
  },
  a_storm_under_load_is_answered_in_order: (server) => {
    const conversation = resettable(server);
    for (let round = 0; round < 40; round += 1) {
      const asks = LOAD.map((ask) => ({ ...ask, id: conversation.takeId() }));
      conversation.send(Buffer.concat(asks.map(({ command, body, id }) => frame(command, body, { id }))));
      for (const { command, id, reply } of asks) requireSuccess(conversation.replyTo(id, command), reply);
    }
  },
  a_storm_without_replies_is_done_before_the_next_command: (server) => {
    const conversation = resettable(server);
    for (let i = 0; i < 500; i += 1) conversation.send(frame(RESET, new Uint8Array(), { id: i, flags: NO_REPLY }));
    requireSuccess(conversation.ask("DEVICE_GET_INFO", deviceInfo()), 16);
  },
  a_reset_with_connected_interrupts_is_answered: (server) => {
    const { conversation, facts } = server.device();
    facts.requireResettable();
    for (const { index } of facts.irqs()) {
      conversation.send(frame(SET_IRQS, irqSet({ flags: 0x21, index }), { id: 1 }));
      conversation.replyTo(1, SET_IRQS);
      requireSuccess(conversation.ask("DEVICE_RESET"), 0);
    }
  },
  surplus_bytes_do_no_harm: (server) => {
    const conversation = resettable(server);
    conversation.send(frame(RESET, new Uint8Array(64)));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
  a_client_that_goes_during_a_storm_does_no_harm: (server) => {
    const conversation = resettable(server);
    conversation.send(Buffer.concat(Array.from({ length: 200 }, (_, id) => frame(RESET, new Uint8Array(), { id }))));
    conversation.close();
  },
});
