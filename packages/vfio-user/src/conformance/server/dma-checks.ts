import { constants } from "node:os";
import { native } from "@vfio-selftests/native";
import { demand } from "../check";
import { u64At } from "../wire/bytes";
import { type Conversation } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { dmaMap, dmaUnmap, type DmaValues } from "../wire/messages";
import { requireArgszObeyed, requireError, requireSuccess } from "./expectations";
import { family } from "./family";
import type { ServerUnderTest } from "./server-under-test";

const { EEXIST } = constants.errno;

const PAGE = 4096n;
const BASE = 0x10_0000n;
const SIZE = 4n * PAGE;

const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK = 2;
const F_SEAL_WRITE = 8;

/** Memory to share. The kernel refuses to seal it against writing as long as anybody maps it for that. */
export class SharedMemory implements Disposable {
  readonly fd = native.memfdCreate("conformance", MFD_ALLOW_SEALING);

  constructor(size: bigint) {
    native.ftruncate(this.fd, Number(size));
    // Servers that are afraid of SIGBUS map only files that cannot shrink.
    native.fcntl(this.fd, F_ADD_SEALS, F_SEAL_SHRINK);
  }

  requireReleased(when: string): void {
    const sealed = native.fcntl(this.fd, F_ADD_SEALS, F_SEAL_WRITE);
    demand(sealed === 0, `no mapping of the client's memory ${when}`, "one that can still be written through");
  }

  [Symbol.dispose](): void {
    native.close(this.fd);
  }
}

function map(conversation: Conversation, values: Partial<DmaValues> = {}, fds: readonly number[] = []): void {
  requireSuccess(conversation.ask("DMA_MAP", dmaMap({ address: BASE, size: SIZE, ...values }), { fds }), 0);
}

function unmap(conversation: Conversation, values: Partial<DmaValues> = {}): void {
  requireSuccess(conversation.ask("DMA_UNMAP", dmaUnmap({ address: BASE, size: SIZE, ...values })), 24);
}

/** A map that must be refused, and leave nothing behind: the same range can be mapped afterwards. */
function mapRefused(what: string, values: Partial<DmaValues>) {
  return (server: ServerUnderTest): void => {
    const conversation = server.greeted();
    requireError(conversation.ask("DMA_MAP", dmaMap({ address: BASE, size: SIZE, ...values })), what);
    map(conversation);
  };
}

export const dmaMapChecks = family("dma_map", "VFIO_USER_DMA_MAP", {
  reply_has_no_payload: (server) => map(server.greeted()),
  memory_with_a_descriptor_is_taken: (server) => {
    const conversation = server.greeted();
    using memory = new SharedMemory(SIZE);
    map(conversation, {}, [memory.fd]);
    unmap(conversation);
  },
  an_offset_into_the_file_is_taken: (server) => {
    const conversation = server.greeted();
    using memory = new SharedMemory(2n * SIZE);
    map(conversation, { offset: SIZE }, [memory.fd]);
    unmap(conversation);
  },
  the_same_range_again_is_eexist: (server) => {
    const conversation = server.greeted();
    map(conversation);
    requireError(conversation.ask("DMA_MAP", dmaMap({ address: BASE, size: SIZE })), "a map over a map", EEXIST);
  },
  an_overlap_is_eexist: (server) => {
    const conversation = server.greeted();
    map(conversation);
    for (const [what, address, size] of [
      ["its first page", BASE, PAGE],
      ["its last page", BASE + SIZE - PAGE, PAGE],
      ["its end and more", BASE + SIZE - PAGE, 2n * PAGE],
      ["its start and more", BASE - PAGE, 2n * PAGE],
      ["all of it and more", BASE - PAGE, SIZE + 2n * PAGE],
    ] as const) {
      requireError(conversation.ask("DMA_MAP", dmaMap({ address, size })), `a map over ${what}`, EEXIST);
    }
  },
  neighbours_do_not_overlap: (server) => {
    const conversation = server.greeted();
    map(conversation);
    map(conversation, { address: BASE + SIZE });
    map(conversation, { address: BASE - PAGE, size: PAGE });
  },
  read_only_and_write_only_are_taken: (server) => {
    const conversation = server.greeted();
    map(conversation, { flags: 1 });
    map(conversation, { flags: 2, address: BASE + SIZE });
  },
  an_empty_range_is_an_error: mapRefused("a size of 0", { size: 0n }),
  a_range_that_wraps_is_an_error: mapRefused("a range that wraps at 2^64", { address: (1n << 64n) - PAGE, size: SIZE }),
  a_size_of_no_whole_pages_is_an_error: mapRefused("a size of 4095, where pgsizes is 4096", { size: PAGE - 1n }),
  argsz_below_the_fields_is_an_error: mapRefused("an argsz of 31", { argsz: 31 }),
  unknown_flags_are_an_error: mapRefused("flag 0x80000000", { flags: 0x8000_0003 }),
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    const whole = dmaMap({ address: BASE, size: SIZE });
    for (const length of [0, 8, 31]) {
      requireError(conversation.ask("DMA_MAP", whole.subarray(0, length)), `a body of ${length} bytes`);
    }
    map(conversation);
  },
  a_descriptor_of_no_file_does_no_harm: (server) => {
    const conversation = server.greeted();
    const event = native.eventfd(0, 0);
    try {
      conversation.ask("DMA_MAP", dmaMap({ address: BASE, size: SIZE }), { fds: [event] });
    } finally {
      native.close(event);
    }
  },
  a_file_that_is_too_short_does_no_harm: (server) => {
    const conversation = server.greeted();
    using memory = new SharedMemory(PAGE);
    conversation.ask("DMA_MAP", dmaMap({ address: BASE, size: SIZE }), { fds: [memory.fd] });
    conversation.ask("DMA_MAP", dmaMap({ address: 0n, size: SIZE, offset: 1n << 62n }), { fds: [memory.fd] });
  },
  many_maps_are_taken: (server) => {
    const { conversation, capabilities } = server.greetedWith();
    const count = Math.min(512, capabilities.maxDmaMaps);
    // Every other page, so that no two can become one.
    for (let i = 0; i < count; i += 1) map(conversation, { address: BASE + BigInt(i) * 2n * PAGE, size: PAGE });
    for (let i = 0; i < count; i += 1) unmap(conversation, { address: BASE + BigInt(i) * 2n * PAGE, size: PAGE });
  },
});

export const dmaUnmapChecks = family("dma_unmap", "VFIO_USER_DMA_UNMAP", {
  reply_is_the_original_entry: (server) => {
    const conversation = server.greeted();
    map(conversation);
    const reply = conversation.ask("DMA_UNMAP", dmaUnmap({ address: BASE, size: SIZE }));
    requireSuccess(reply, 24);
    demand(u64At(reply.body, 8) === BASE, `address ${BASE} in the reply`, u64At(reply.body, 8));
    demand(u64At(reply.body, 16) === SIZE, `size ${SIZE} in the reply`, u64At(reply.body, 16));
  },
  the_range_can_be_mapped_again: (server) => {
    const conversation = server.greeted();
    for (let i = 0; i < 100; i += 1) {
      map(conversation);
      unmap(conversation);
    }
  },
  all_references_are_released_before_the_reply: (server) => {
    const conversation = server.greeted();
    using memory = new SharedMemory(SIZE);
    map(conversation, {}, [memory.fd]);
    unmap(conversation);
    memory.requireReleased("after the reply to DMA_UNMAP");
  },
  a_part_of_a_map_is_an_error: (server) => {
    const conversation = server.greeted();
    map(conversation);
    for (const [what, address, size] of [
      ["first page", BASE, PAGE],
      ["last page", BASE + SIZE - PAGE, PAGE],
      ["last page and the next", BASE + SIZE - PAGE, 2n * PAGE],
    ] as const) {
      requireError(conversation.ask("DMA_UNMAP", dmaUnmap({ address, size })), `an unmap of a map's ${what}`);
    }
    // A refused unmap took nothing away.
    unmap(conversation);
  },
  an_empty_range_is_an_error: (server) => {
    const conversation = server.greeted();
    map(conversation);
    requireError(conversation.ask("DMA_UNMAP", dmaUnmap({ address: BASE, size: 0n })), "a size of 0");
    unmap(conversation);
  },
  a_range_that_wraps_is_an_error: (server) => {
    const conversation = server.greeted();
    const wrapping = dmaUnmap({ address: (1n << 64n) - PAGE, size: SIZE });
    requireError(conversation.ask("DMA_UNMAP", wrapping), "a range that wraps at 2^64");
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = server.greeted();
    map(conversation);
    for (const argsz of [0, 23]) {
      const reply = conversation.ask("DMA_UNMAP", dmaUnmap({ address: BASE, size: SIZE, argsz }));
      requireArgszObeyed(reply, argsz, 24);
      // A server that answers in short has unmapped.
      if (!isError(reply)) map(conversation);
    }
  },
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    map(conversation);
    const whole = dmaUnmap({ address: BASE, size: SIZE });
    for (const length of [0, 8, 23]) {
      requireError(conversation.ask("DMA_UNMAP", whole.subarray(0, length)), `a body of ${length} bytes`);
    }
    unmap(conversation);
  },
});
