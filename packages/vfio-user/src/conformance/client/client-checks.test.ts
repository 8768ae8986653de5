import { native } from "@vfio-selftests/native";
import { createModel } from "../../testing/conforming-model";
import { bytesOf, recordedStream } from "../../testing/recorded-stream";
import type { Verdict } from "../check";
import { verdictOf } from "../check";
import { join, u32, u64 } from "../wire/bytes";
import {
  access,
  deviceInfo,
  dmaMap,
  dmaUnmap,
  frame,
  irqInfo,
  irqSet,
  oneWrite,
  regionInfo,
  regionIoFds,
  version,
} from "../wire/messages";
import { CLIENT_CHECKS, clientScenarios } from "./client-checks";
import type { ClientRecord } from "./client-record";
import { ASKED, CONFORMING, FAULT_SCENARIOS, type Scenario } from "./scenario";
import { serveClient } from "./serve-client";
import { entryOf } from "./tapped-socket";

const PROPOSAL = '{"capabilities":{"max_msg_fds":8,"write_multiple":true,"twin_socket":{"supported":true}}}';

/** A message of a client's script, and how many eventfds go with it. */
type Said = Uint8Array | { readonly bytes: Uint8Array; readonly fds: number };

/** What a well-meaning client says. */
const GOOD: readonly Said[] = [
  frame(1, version(0, 0, PROPOSAL), { id: 1 }),
  frame(4, deviceInfo(), { id: 2 }),
  frame(5, regionInfo(0), { id: 3 }),
  frame(5, regionInfo(7, 64), { id: 3 }),
  frame(6, regionIoFds(0), { id: 5 }),
  frame(7, irqInfo(2), { id: 6 }),
  frame(2, dmaMap({ address: 0n, size: 8192n }), { id: 7 }),
  { bytes: frame(8, irqSet({ flags: 0x24, index: 2, count: 2 }), { id: 8 }), fds: 2 },
  frame(8, irqSet({ flags: 0x22, index: 2, count: 1, data: Uint8Array.of(1) }), { id: 9 }),
  frame(9, access(0, 0n, 4), { id: 10 }),
  frame(10, access(0, 0n, 4, u32(1)), { id: 11, flags: 0x10 }),
  frame(15, join(u64(1n), oneWrite(0, 8n, 4, u64(1n))), { id: 12 }),
  frame(3, dmaUnmap({ address: 0n, size: 8192n }), { id: 13 }),
  frame(13, undefined, { id: 14 }),
];

/** Serves a client that says all this at once. */
async function record(says: readonly Said[], scenario: Scenario = CONFORMING): Promise<ClientRecord> {
  const pair = native.socketpair();
  if (typeof pair === "number") throw new Error("no socket pair");
  const event = native.eventfd(0, 0);
  for (const said of says) {
    const { bytes, fds } = said instanceof Uint8Array ? { bytes: said, fds: 0 } : said;
    native.sendMessage(pair[0], [bytes], Array<number>(fds).fill(event), 1000);
  }
  native.close(event);
  const made = await serveClient(pair[1], { model: createModel(), scenario, patienceMs: 5_000, gone: () => true });
  native.close(pair[0]);
  return made;
}

function judge(made: ClientRecord, id: string): Verdict {
  const found = CLIENT_CHECKS.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check ${id}`);
  return verdictOf(() => found.judge(made));
}

/** The verdicts of all checks of a scenario, by id. */
function verdicts(made: ClientRecord, scenario: string = CONFORMING.name): Record<string, Verdict["verdict"]> {
  const checks = CLIENT_CHECKS.filter((check) => check.scenario === scenario);
  return Object.fromEntries(checks.map((check) => [check.id, verdictOf(() => check.judge(made)).verdict]));
}

test("a client that keeps to the specification passes everything", async () => {
  const told = verdicts(await record(GOOD));
  expect(Object.entries(told).filter(([, verdict]) => verdict !== "pass")).toEqual([]);
});

/** Not the descriptors of memory, which would have to be such. */
const eventfds = (fds: readonly string[] = []): number => fds.filter((kind) => kind === "eventfd").length;

test.each(["spdk", "rust-vmm", "libvfio-user"] as const)("the recorded client of %s passes", async (name) => {
  const { messages } = recordedStream(name);
  const says = messages.map((message) => ({ bytes: bytesOf(message), fds: eventfds(message.fds) }));
  const told = verdicts(await record(says));
  expect(told["header.every_request_has_its_fields"]).toBe("pass");
  const failed = Object.entries(told).flatMap(([id, verdict]) => (verdict === "fail" ? id : []));
  // The memory's descriptors are left out here.
  expect(failed.filter((id) => id !== "dma_map.offset_is_zero_without_a_descriptor")).toEqual([]);
});

/** The good script with one message changed (by its index), or more behind it. */
const instead = (index: number, said: Said): readonly Said[] => GOOD.map((good, i) => (i === index ? said : good));
const also = (said: Said, index = 6): readonly Said[] => [...GOOD.slice(0, index), said, ...GOOD.slice(index)];

describe("a client that", () => {
  test.each<[what: string, id: string, says: readonly Said[]]>([
    ["sends a command of the server's", "header.commands_are_those_of_a_client", also(frame(11, access(0, 0n, 4)))],
    ["sets an unknown flag", "header.flags_are_known", also(frame(4, deviceInfo(), { flags: 0x40 }))],
    ["fills a reserved field", "header.error_field_is_zero", also(frame(4, deviceInfo(), { error: 1 }))],
    ["leaves fields out", "header.every_request_has_its_fields", also(frame(4, u32(16)))],
    ["sends an impossible size", "header.every_message_is_understood", also(frame(4, deviceInfo(), { size: 3 }))],
    ["begins with another command", "version.comes_first", GOOD.slice(1)],
    ["greets twice", "version.comes_once", also(GOOD[0] ?? new Uint8Array())],
    [
      "forgets the NUL",
      "version.data_are_json_that_ends_with_nul",
      instead(0, frame(1, version(0, 0, "{}").subarray(0, -1))),
    ],
    [
      "proposes text for a number",
      "version.capabilities_have_the_types_of_the_specification",
      instead(0, frame(1, version(0, 0, '{"capabilities":{"max_msg_fds":"8"}}'))),
    ],
    [
      "maps with a wrong argsz",
      "dma_map.argsz_is_32",
      instead(6, frame(2, dmaMap({ address: 0n, size: 8192n, argsz: 48 }))),
    ],
    [
      "maps with an unknown flag",
      "dma_map.flags_are_those_of_the_specification",
      also(frame(2, dmaMap({ address: 0n, size: 4096n, flags: 8 }))),
    ],
    ["maps half a page", "dma_map.ranges_are_whole_pages", also(frame(2, dmaMap({ address: 0n, size: 2048n })))],
    [
      "gives an offset into nothing",
      "dma_map.offset_is_zero_without_a_descriptor",
      also(frame(2, dmaMap({ address: 0x10000n, size: 4096n, offset: 4096n }))),
    ],
    [
      "sends two descriptors with a map",
      "dma_map.at_most_one_descriptor_comes_along",
      also({ bytes: frame(2, dmaMap({ address: 0x10000n, size: 4096n })), fds: 2 }),
    ],
    ["maps what is mapped", "dma_map.maps_do_not_overlap", also(frame(2, dmaMap({ address: 4096n, size: 4096n })), 7)],
    [
      "unmaps without room for the reply",
      "dma_unmap.argsz_has_room_for_the_reply",
      instead(12, frame(3, dmaUnmap({ address: 0n, size: 8192n, argsz: 8 }))),
    ],
    [
      "unmaps with flags",
      "dma_unmap.flags_are_zero",
      instead(12, frame(3, dmaUnmap({ address: 0n, size: 0n, flags: 2 }))),
    ],
    [
      "unmaps what is not mapped",
      "dma_unmap.range_is_that_of_a_map",
      instead(12, frame(3, dmaUnmap({ address: 0n, size: 4096n }))),
    ],
    [
      "asks for the device without room",
      "device_info.argsz_has_room_for_the_reply",
      instead(1, frame(4, deviceInfo(8))),
    ],
    ["sends a request with other fields", "device_info.other_fields_are_zero", instead(1, frame(4, u32(16, 1, 0, 0)))],
    [
      "asks for a region without room",
      "region_info.argsz_has_room_for_the_fields",
      instead(2, frame(5, regionInfo(0, 16))),
    ],
    [
      "asks for a region with other fields",
      "region_info.other_fields_are_zero",
      instead(2, frame(5, join(u32(32, 0, 0, 9), u64(0n, 0n)))),
    ],
    ["asks for a region that is not there", "region_info.index_is_one_of_the_device", also(frame(5, regionInfo(99)))],
    [
      "asks for an interrupt without room",
      "irq_info.argsz_has_room_for_the_reply",
      instead(5, frame(7, irqInfo(2, 8))),
    ],
    [
      "asks for an interrupt with other fields",
      "irq_info.other_fields_are_zero",
      instead(5, frame(7, u32(16, 0, 2, 7))),
    ],
    ["asks for an interrupt that is not there", "irq_info.index_is_one_of_the_device", also(frame(7, irqInfo(99)))],
    [
      "asks for descriptors with flags",
      "region_io_fds.other_fields_are_zero",
      also(frame(6, regionIoFds(0, { flags: 1 }))),
    ],
    [
      "sets interrupts with a wrong argsz",
      "set_irqs.argsz_is_the_size_of_the_payload",
      also(frame(8, irqSet({ flags: 0x21, index: 2, argsz: 24 }))),
    ],
    [
      "sets interrupts with two actions",
      "set_irqs.one_kind_of_data_and_one_action",
      also(frame(8, irqSet({ flags: 0x31, index: 2 }))),
    ],
    [
      "sends one eventfd for two vectors",
      "set_irqs.descriptors_are_none_or_as_many_as_vectors",
      also({ bytes: frame(8, irqSet({ flags: 0x24, index: 2, count: 2 })), fds: 1 }),
    ],
    [
      "sends 17 eventfds",
      "set_irqs.descriptors_are_at_most_max_msg_fds",
      also({ bytes: frame(8, irqSet({ flags: 0x24, index: 2, count: 17 })), fds: 17 }),
    ],
    [
      "sends two booleans for one vector",
      "set_irqs.booleans_are_as_many_as_vectors",
      also(frame(8, irqSet({ flags: 0x22, index: 2, count: 1, data: Uint8Array.of(1, 1) }))),
    ],
    ["reads behind the end", "region_read.range_is_inside_the_region", also(frame(9, access(0, 4095n, 4)))],
    ["reads 2 MiB", "region_read.count_is_at_most_max_data_xfer_size", also(frame(9, access(0, 0n, 2 ** 21)))],
    ["writes behind the end", "region_write.range_is_inside_the_region", also(frame(10, access(0, 4095n, 4, u32(0))))],
    [
      "writes less than it says",
      "region_write.data_are_as_long_as_the_count",
      also(frame(10, access(0, 0n, 8, u32(0)))),
    ],
    ["did not propose several writes", "write_multi.was_agreed_on", instead(0, frame(1, version(0, 0, "{}")))],
    [
      "sends fewer writes than it says",
      "write_multi.writes_are_as_many_as_it_says",
      also(frame(15, join(u64(2n), oneWrite(0, 8n, 4, u64(1n))))),
    ],
  ])("%s fails %s", async (_what, id, says) => {
    expect(judge(await record(says), id)).toMatchObject({ verdict: "fail" });
  });
});

/** A client that maps memory, and answers what the server asks. */
const ANSWERS = (...replies: readonly Said[]): readonly Said[] => [
  ...GOOD.slice(0, 6),
  frame(10, access(7, 4n, 2, Uint8Array.of(4, 0)), { id: 20 }),
  ...GOOD.slice(6, 7),
  ...replies,
];
const replyTo = (id: number, command: number, body?: Uint8Array, error = 0): Uint8Array =>
  frame(command, body, { id, flags: error === 0 ? 1 : 0x21, error });

const GOOD_ANSWERS = [
  replyTo(ASKED.read, 11, join(u64(0n, 4n), u32(5))),
  replyTo(ASKED.outside, 11, undefined, 14),
  replyTo(ASKED.unknown, 0x7fff, undefined, 38),
  replyTo(ASKED.write, 12, u64(0n, 4n)),
];
const ASKING = "asking";
const asking = (): Scenario => {
  const found = clientScenarios().find(({ name }) => name === ASKING);
  if (found === undefined) throw new Error("no such scenario");
  return found;
};

describe("a client that is asked for memory", () => {
  test("passes when it answers as it must", async () => {
    const told = verdicts(await record(ANSWERS(...GOOD_ANSWERS), asking()), ASKING);
    expect(Object.values(told)).toEqual(Array(4).fill("pass"));
  });

  test("may refuse DMA of a device that is no bus master", async () => {
    const refusal = replyTo(ASKED.read, 11, undefined, 19);
    const made = await record([...GOOD.slice(0, 7), refusal, ...GOOD_ANSWERS.slice(1)], asking());
    expect(judge(made, "dma_read.reply_has_the_data")).toMatchObject({ verdict: "skip" });
  });

  test("is not judged when it maps none", async () => {
    const told = verdicts(await record(GOOD.slice(0, 6), asking()), ASKING);
    expect(Object.values(told)).toEqual(Array(4).fill("skip"));
  });

  test.each<[what: string, id: string, index: number, reply: Uint8Array]>([
    ["refuses what it mapped", "dma_read.reply_has_the_data", 0, replyTo(ASKED.read, 11, undefined, 14)],
    [
      "says nothing of the count's upper half",
      "dma_read.reply_has_the_data",
      0,
      replyTo(ASKED.read, 11, join(u64(0n), u32(4, 5))),
    ],
    [
      "gives memory that is not mapped",
      "dma_read.memory_that_is_not_mapped_is_an_error",
      1,
      replyTo(ASKED.outside, 11, join(u64(0n, 4n), u32(5))),
    ],
    ["takes an unknown command", "commands.an_unknown_one_is_an_error", 2, replyTo(ASKED.unknown, 0x7fff)],
    [
      "acknowledges a write with the header alone",
      "dma_write.reply_says_what_was_written",
      3,
      replyTo(ASKED.write, 12),
    ],
  ])("%s: fails %s", async (_what, id, index, reply) => {
    const answers = GOOD_ANSWERS.map((good, i) => (i === index ? reply : good));
    expect(judge(await record(ANSWERS(...answers), asking()), id)).toMatchObject({ verdict: "fail" });
  });
});

describe("a client of a server with a fault", () => {
  const refused = (id: string): Scenario => {
    const name = CLIENT_CHECKS.find((check) => check.id === id)?.scenario;
    const found = clientScenarios().find((scenario) => scenario.name === name);
    if (found === undefined) throw new Error(`no scenario of ${id}`);
    return found;
  };

  test.each([
    "negotiation.another_major_ends_the_connection",
    "negotiation.a_twin_socket_without_its_descriptor_ends_the_connection",
  ])("%s", async (id) => {
    expect(judge(await record(GOOD.slice(0, 1), refused(id)), id)).toEqual({ verdict: "pass" });
    expect(judge(await record(GOOD, refused(id)), id)).toMatchObject({ verdict: "fail" });
  });

  test.each(Object.keys(FAULT_SCENARIOS))("must survive %s", (name) => {
    const made = { entries: [], ending: "server" } as const;
    const id = `survives.${name}`;
    expect(judge(made, id)).toMatchObject({ verdict: "skip" });
    expect(judge({ ...made, process: { code: 1, signal: null } }, id)).toEqual({ verdict: "pass" });
    expect(judge({ ...made, process: { code: null, signal: "SIGSEGV" } }, id)).toMatchObject({ verdict: "fail" });
  });

  test("meets what the check says", async () => {
    for (const [name, scenario] of Object.entries(FAULT_SCENARIOS)) {
      const good = (await record(GOOD)).entries.filter(({ from }) => from === "server");
      const bad = (await record(GOOD, scenario)).entries.filter(({ from }) => from === "server");
      expect([name, JSON.stringify(bad)]).not.toEqual([name, JSON.stringify(good)]);
    }
  });
});

test("no more maps than agreed on may live", () => {
  const entries = Array.from({ length: 65_537 }, (_, i) =>
    entryOf("client", frame(2, dmaMap({ address: BigInt(i) * 4096n, size: 4096n }), { id: 1 }), 0),
  );
  expect(judge({ entries, ending: "client" }, "dma_map.at_most_max_dma_maps_live")).toMatchObject({ verdict: "fail" });
});
