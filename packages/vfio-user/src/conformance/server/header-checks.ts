import { demand } from "../check";
import { GET_INFO } from "../wire/commands";
import { describe, requireReply } from "../wire/conversation";
import { ERROR, NO_REPLY, REPLY } from "../wire/header-flags";
import { deviceInfo, frame } from "../wire/messages";
import { requireError, requireRefused, requireSuccess } from "./expectations";
import { family } from "./family";

/** Numbers that the table "Commands" does not have; 14 was one in an early version. */
const UNKNOWN_COMMANDS = [0, 14, 19, 0x7fff, 0xffff];
/** Commands that the server sends. */
const SERVER_COMMANDS = ["DMA_READ", "DMA_WRITE"] as const;

export const headerChecks = family("header", "Header", {
  reply_has_the_id_of_its_command: (server) => {
    const conversation = server.greeted();
    for (const id of [0, 1, 0x7fff, 0x8000, 0xffff, 1]) conversation.ask("DEVICE_GET_INFO", deviceInfo(), { id });
  },
  ids_may_be_used_again_at_once: (server) => {
    const conversation = server.greeted();
    const message = frame(GET_INFO, deviceInfo(), { id: 7 });
    conversation.send(Buffer.concat([message, message, message]));
    for (let i = 0; i < 3; i += 1) requireSuccess(conversation.replyTo(7, GET_INFO), 16);
  },
  reply_has_only_known_flags: (server) => {
    const { flags } = server.greeted().ask("DEVICE_GET_INFO", deviceInfo());
    demand(flags === REPLY, "flags 0x1: the type of a reply, and no other bit", `0x${flags.toString(16)}`);
  },
  error_reply_is_the_header_alone: (server) => {
    requireError(server.greeted().ask("DEVICE_GET_INFO", deviceInfo().subarray(0, 4)), "a body of 4 bytes");
  },
  unknown_command_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const command of UNKNOWN_COMMANDS) {
      conversation.send(frame(command, deviceInfo(), { id: 99 }));
      requireError(conversation.replyTo(99, command), `command ${command}`);
    }
    requireSuccess(conversation.ask("DEVICE_GET_INFO", deviceInfo()), 16);
  },
  command_of_the_other_direction_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const name of SERVER_COMMANDS) requireError(conversation.ask(name, deviceInfo()), name);
  },
  no_reply_gets_none: (server) => {
    const conversation = server.greeted();
    conversation.send(frame(GET_INFO, deviceInfo(), { id: 21, flags: NO_REPLY }));
    conversation.requireSilence("because the command said No_reply");
    requireSuccess(conversation.ask("DEVICE_GET_INFO", deviceInfo(), { id: 22 }), 16);
  },
  no_reply_gets_none_for_an_error: (server) => {
    const conversation = server.greeted();
    conversation.send(frame(GET_INFO, deviceInfo(0), { id: 23, flags: NO_REPLY }));
    conversation.send(frame(0x7fff, deviceInfo(), { id: 24, flags: NO_REPLY }));
    requireSuccess(conversation.ask("DEVICE_GET_INFO", deviceInfo(), { id: 25 }), 16);
  },
  error_field_of_a_command_is_ignored: (server) => {
    requireSuccess(server.greeted().ask("DEVICE_GET_INFO", deviceInfo(), { error: 5 }), 16);
  },
  unknown_type_is_refused: (server) => {
    const conversation = server.greeted();
    conversation.send(frame(GET_INFO, deviceInfo(), { flags: 2 }));
    requireRefused(conversation, "a message of type 2");
  },
  reply_to_nothing_gets_no_success: (server) => {
    const conversation = server.greeted();
    conversation.send(frame(GET_INFO, deviceInfo(), { flags: REPLY }));
    conversation.send(frame(GET_INFO, deviceInfo(), { flags: REPLY | ERROR }));
    const arrival = conversation.listen(200);
    const success = typeof arrival !== "string" && (arrival.flags & ERROR) === 0;
    demand(!success, "no success for a reply that answers nothing", describe(arrival));
  },
  reserved_flags_do_no_harm: (server) => {
    const conversation = server.greeted();
    for (let bit = 6; bit < 32; bit += 1) conversation.send(frame(GET_INFO, deviceInfo(), { flags: (1 << bit) >>> 0 }));
    const arrival = conversation.listen();
    demand(arrival !== "silence" && arrival !== "malformed", "a reply or the end of the connection", describe(arrival));
  },
  size_below_the_header_is_refused: (server) => {
    for (const size of [0, 1, 15]) {
      const conversation = server.greeted();
      conversation.send(frame(GET_INFO, deviceInfo(), { size }));
      requireRefused(conversation, `a message size of ${size}`);
      conversation.close();
    }
  },
});

export const concurrencyChecks = family("concurrency", "Command Concurrency", {
  commands_are_answered_in_their_order: (server) => {
    const conversation = server.greeted();
    const ids = Array.from({ length: 64 }, (_, i) => 0x4000 + i);
    conversation.send(Buffer.concat(ids.map((id) => frame(GET_INFO, deviceInfo(), { id }))));
    for (const id of ids) requireSuccess(conversation.replyTo(id, GET_INFO), 16);
  },
  an_error_in_between_stops_nothing: (server) => {
    const conversation = server.greeted();
    const ids = Array.from({ length: 32 }, (_, i) => 0x5000 + i);
    const wrong = (id: number): boolean => id % 3 === 0;
    conversation.send(Buffer.concat(ids.map((id) => frame(wrong(id) ? 0x7fff : GET_INFO, deviceInfo(), { id }))));
    for (const id of ids) {
      const reply = conversation.replyTo(id, wrong(id) ? 0x7fff : GET_INFO);
      if (wrong(id)) requireError(reply, "an unknown command among others");
      else requireSuccess(reply, 16);
    }
  },
  no_reply_keeps_the_order: (server) => {
    const conversation = server.greeted();
    const messages = Array.from({ length: 40 }, (_, i) =>
      frame(GET_INFO, deviceInfo(), { id: 0x6000 + i, flags: i % 4 === 3 ? 0 : NO_REPLY }),
    );
    conversation.send(Buffer.concat(messages));
    for (let i = 3; i < 40; i += 4) {
      const arrival = conversation.listenForReply();
      demand(typeof arrival !== "string", "a reply", describe(arrival));
      requireReply(arrival, 0x6000 + i, GET_INFO);
    }
  },
});
