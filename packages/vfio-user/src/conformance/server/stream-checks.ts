import { sleepSync } from "@vfio-selftests/core/driver";
import { join } from "../wire/bytes";
import { DMA_MAP, GET_INFO, VERSION } from "../wire/commands";
import { deviceInfo, dmaMap, frame, version } from "../wire/messages";
import { SharedMemory } from "./dma-checks";
import { requireRefused, requireSuccess } from "./expectations";
import { family } from "./family";
import { PROPOSAL } from "./server-under-test";

/** Pseudo-random bytes, the same in every run (xorshift32). */
function noise(seed: number, length: number): Uint8Array {
  let x = seed | 1;
  return Uint8Array.from({ length }, () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x & 0xff;
  });
}

/** The socket is a stream: where one write ends says nothing. */
export const streamChecks = family("stream", "Security Considerations", {
  a_message_may_come_byte_by_byte: (server) => {
    const conversation = server.greeted();
    const id = conversation.takeId();
    for (const byte of frame(GET_INFO, deviceInfo(), { id })) {
      conversation.send(Uint8Array.of(byte));
      sleepSync(1);
    }
    requireSuccess(conversation.replyTo(id, GET_INFO), 16);
  },
  a_message_may_come_in_two_pieces_cut_anywhere: (server) => {
    const conversation = server.greeted();
    for (let cut = 1; cut < 32; cut += 1) {
      const id = conversation.takeId();
      const message = frame(GET_INFO, deviceInfo(), { id });
      conversation.send(message.subarray(0, cut));
      sleepSync(1);
      conversation.send(message.subarray(cut));
      requireSuccess(conversation.replyTo(id, GET_INFO), 16);
    }
  },
  the_end_of_one_message_may_come_with_the_next: (server) => {
    const conversation = server.greeted();
    const [first, second] = [conversation.takeId(), conversation.takeId()];
    const both = join(frame(GET_INFO, deviceInfo(), { id: first }), frame(GET_INFO, deviceInfo(), { id: second }));
    conversation.send(both.subarray(0, 20));
    sleepSync(5);
    conversation.send(both.subarray(20));
    for (const id of [first, second]) requireSuccess(conversation.replyTo(id, GET_INFO), 16);
  },
  a_pause_in_a_message_does_no_harm: (server) => {
    const conversation = server.greeted();
    const id = conversation.takeId();
    const message = frame(GET_INFO, deviceInfo(), { id });
    conversation.send(message.subarray(0, 8));
    sleepSync(300);
    conversation.send(message.subarray(8));
    requireSuccess(conversation.replyTo(id, GET_INFO), 16);
  },
  the_greeting_may_come_byte_by_byte: (server) => {
    const conversation = server.connect();
    for (const byte of frame(VERSION, version(0, 0, '{"capabilities":{}}'), { id: 5 }))
      conversation.send(Uint8Array.of(byte));
    conversation.replyTo(5, VERSION);
  },
  a_client_may_go_after_any_byte_of_the_greeting: (server) => {
    const message = frame(VERSION, version(0, 0, '{"capabilities":{}}'));
    for (let cut = 0; cut <= message.length; cut += 1) {
      const conversation = server.connect();
      conversation.send(message.subarray(0, cut));
      conversation.close();
    }
  },
  a_client_may_go_after_any_byte_of_a_request: (server) => {
    using memory = new SharedMemory(4096n);
    const message = frame(DMA_MAP, dmaMap({ address: 0n, size: 4096n }));
    for (let cut = 1; cut <= message.length; cut += 1) {
      const conversation = server.greeted();
      conversation.send(message.subarray(0, cut), [memory.fd]);
      conversation.close();
    }
  },
  a_client_may_go_without_reading_its_replies: (server) => {
    for (let i = 0; i < 10; i += 1) {
      const conversation = server.greeted();
      conversation.send(Buffer.concat(Array.from({ length: 100 }, () => frame(GET_INFO, deviceInfo()))));
      conversation.close();
    }
  },
  many_clients_may_come_and_go: (server) => {
    for (let i = 0; i < 100; i += 1) {
      server.connect();
      server.closeAll();
    }
  },
  a_huge_size_is_refused_at_once: (server) => {
    for (const size of [0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0x4000_0000]) {
      const conversation = server.greeted();
      conversation.send(frame(GET_INFO, deviceInfo(), { size }));
      requireRefused(conversation, `a message size of ${size}`);
      conversation.close();
    }
  },
  a_huge_greeting_is_refused_at_once: (server) => {
    for (const size of [0xffff_ffff, 0x8000_0000]) {
      const conversation = server.connect();
      conversation.send(frame(VERSION, version(0, 0, PROPOSAL), { size }));
      requireRefused(conversation, `a VERSION with a message size of ${size}`);
      conversation.close();
    }
  },
  noise_does_no_harm: (server) => {
    for (let seed = 1; seed <= 25; seed += 1) {
      server.connect().send(noise(seed, 200));
      server.closeAll();
      server.greeted().send(noise(seed * 7919, 200));
      server.closeAll();
    }
  },
  every_command_with_a_short_body_does_no_harm: (server) => {
    for (let command = 0; command <= 20; command += 1) {
      const conversation = server.greeted();
      for (const length of [0, 1, 3, 4, 7]) conversation.send(frame(command, new Uint8Array(length)));
      conversation.listen(100);
      conversation.close();
    }
  },
  every_command_with_a_body_of_ones_does_no_harm: (server) => {
    for (let command = 0; command <= 20; command += 1) {
      const conversation = server.greeted();
      conversation.send(frame(command, new Uint8Array(48).fill(0xff)));
      conversation.listen(100);
      conversation.close();
    }
  },
});
