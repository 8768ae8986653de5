import { native } from "@vfio-selftests/native";
import { demand, NotApplicable } from "../check";
import { access, dmaMap, irqSet } from "../wire/messages";
import { CONFIG_REGION, INTERRUPT_LINE } from "./device-facts";
import { SharedMemory } from "./dma-checks";
import { requireSuccess } from "./expectations";
import { family } from "./family";

const EVENTFD_TRIGGER = 0x24;
const NONE_TRIGGER = 0x21;
const POLLIN = 1;

export const disconnectChecks = family("disconnect", "Client Disconnection", {
  the_maps_of_the_client_are_gone: (server) => {
    for (let i = 0; i < 3; i += 1) {
      requireSuccess(server.greeted().ask("DMA_MAP", dmaMap({ address: 0n, size: 8192n })), 0);
      server.closeAll();
    }
  },
  the_memory_of_the_client_is_released: (server) => {
    using memory = new SharedMemory(8192n);
    requireSuccess(server.greeted().ask("DMA_MAP", dmaMap({ address: 0n, size: 8192n }), { fds: [memory.fd] }), 0);
    server.closeAll();
    // Once the next client is served, the server has done with this one.
    server.greeted();
    memory.requireReleased("after its client has gone");
  },
  the_eventfds_of_the_client_are_disconnected: (server) => {
    const { conversation, facts } = server.device();
    const { index } = facts.eventfdIrq();
    const event = native.eventfd(0, 0);
    try {
      const connect = irqSet({ flags: EVENTFD_TRIGGER, index, count: 1 });
      requireSuccess(conversation.ask("DEVICE_SET_IRQS", connect, { fds: [event] }), 0);
      server.closeAll();
      server.greeted().ask("DEVICE_SET_IRQS", irqSet({ flags: NONE_TRIGGER, index, count: 1 }));
      const signalled = native.pollBlocking(event, POLLIN, 50) > 0;
      demand(!signalled, "a silent eventfd of a client that has gone", "a signal");
    } finally {
      native.close(event);
    }
  },
  the_state_of_the_device_is_kept: (server) => {
    const { conversation, facts } = server.device();
    facts.config();
    const read = access(CONFIG_REGION, INTERRUPT_LINE, 1);
    const write = (value: number): Uint8Array => access(CONFIG_REGION, INTERRUPT_LINE, 1, Uint8Array.of(value));
    const old = conversation.ask("REGION_READ", read).body[16] ?? 0;
    const value = old ^ 0x3c;
    conversation.ask("REGION_WRITE", write(value));
    const kept = conversation.ask("REGION_READ", read).body[16];
    server.closeAll();
    const next = server.greeted();
    if (next.server !== conversation.server) {
      throw new NotApplicable("the server ends with its client, which the specification allows", "none");
    }
    const came = next.ask("REGION_READ", read).body[16];
    next.ask("REGION_WRITE", write(old));
    demand(kept === came, `${kept} in the interrupt line, as the client before left it`, came ?? "nothing");
  },
});
