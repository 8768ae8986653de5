import { native } from "@vfio-selftests/native";
import type { CommandName } from "../../protocol/commands";
import { GET_INFO } from "../wire/commands";
import { type Conversation } from "../wire/conversation";
import { access, deviceInfo, dmaUnmap, frame, irqInfo, regionInfo } from "../wire/messages";
import { Witness } from "../wire/witness";
import { CONFIG_REGION } from "./device-facts";
import { family } from "./family";

/** Requests that have no use for a descriptor. */
const WITHOUT: readonly (readonly [CommandName, Uint8Array])[] = [
  ["DEVICE_GET_INFO", deviceInfo()],
  ["DEVICE_GET_REGION_INFO", regionInfo(CONFIG_REGION)],
  ["DEVICE_GET_IRQ_INFO", irqInfo(0)],
  ["REGION_READ", access(CONFIG_REGION, 0n, 4)],
  ["DMA_UNMAP", dmaUnmap({ address: 0x7000n, size: 4096n })],
];

/** Lets a server on this thread work. */
const working = (conversation: Conversation) => (): void => conversation.send(new Uint8Array());

export const descriptorChecks = family("descriptors", "VFIO_USER_VERSION (max_msg_fds)", {
  surplus_ones_are_closed: (server) => {
    const conversation = server.greeted();
    for (const [name, body] of WITHOUT) {
      using witness = new Witness();
      conversation.ask(name, body, { fds: [witness.fd] });
      witness.requireClosed(`a descriptor that came with ${name}`, working(conversation));
    }
  },
  those_of_an_unknown_command_are_closed: (server) => {
    const conversation = server.greeted();
    using witness = new Witness();
    conversation.send(frame(0x7fff, deviceInfo(), { id: 3 }), [witness.fd]);
    conversation.replyTo(3, 0x7fff);
    witness.requireClosed("a descriptor that came with an unknown command", working(conversation));
  },
  more_than_max_msg_fds_are_closed: (server) => {
    const { conversation, capabilities } = server.greetedWith();
    using witness = new Witness();
    const count = Math.min(capabilities.maxMessageFds + 1, 250);
    conversation.send(frame(GET_INFO, deviceInfo()), Array<number>(count).fill(witness.fd));
    conversation.listen();
    witness.requireClosed(`${count} descriptors with one message`, working(conversation));
  },
  as_many_as_the_kernel_takes_do_no_harm: (server) => {
    const conversation = server.greeted();
    using witness = new Witness();
    conversation.send(frame(GET_INFO, deviceInfo()), Array<number>(250).fill(witness.fd));
    conversation.listen();
    conversation.close();
    witness.requireClosed("250 descriptors with one message", () => undefined);
  },
  one_with_each_piece_of_a_message_is_closed: (server) => {
    const conversation = server.greeted();
    using witness = new Witness();
    const message = frame(GET_INFO, deviceInfo());
    for (const [start, end] of [
      [0, 8],
      [8, 20],
      [20, 32],
    ] as const) {
      conversation.send(message.subarray(start, end), [witness.fd]);
    }
    conversation.listen();
    witness.requireClosed("descriptors with the pieces of a message", working(conversation));
  },
  one_with_half_a_message_is_closed_with_the_client: (server) => {
    const conversation = server.greeted();
    using witness = new Witness();
    conversation.send(frame(GET_INFO, deviceInfo()).subarray(0, 20), [witness.fd]);
    conversation.close();
    witness.requireClosed("a descriptor of a message that never ended", () => undefined);
  },
  thousands_one_after_the_other_do_no_harm: (server) => {
    const conversation = server.greeted();
    const event = native.eventfd(0, 0);
    try {
      for (let i = 0; i < 2_000; i += 1) {
        conversation.ask("DEVICE_GET_INFO", deviceInfo(), { fds: [event] });
      }
    } finally {
      native.close(event);
    }
  },
});
