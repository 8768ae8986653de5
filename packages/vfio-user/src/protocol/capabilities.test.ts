import fc from "fast-check";
import { decodeCapabilities, encodeCapabilities, OWN_CAPABILITIES } from "./capabilities";

const text = (json: string) => new TextEncoder().encode(`${json}\0`);

test("decoding reverses encoding", () => {
  const capabilities = fc.record({
    maxMessageFds: fc.nat(1000),
    maxDataTransfer: fc.integer({ min: 1, max: 2 ** 30 }),
    maxDmaMaps: fc.nat(),
    pageSizes: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    writeMultiple: fc.boolean(),
    twinSocket: fc.option(fc.record({ fdIndex: fc.option(fc.nat(), { nil: undefined }) }), { nil: undefined }),
  });
  fc.assert(
    fc.property(capabilities, (given) => {
      const bytes = encodeCapabilities(given);
      expect(bytes.at(-1)).toBe(0);
      expect(decodeCapabilities(bytes)).toEqual(given);
    }),
  );
});

test("the capabilities are within QEMU's limits", () => {
  // hw/vfio-user/protocol.h: VFIO_USER_MAX_MAX_FDS, VFIO_USER_DEF_MAP_MAX, VFIO_USER_MAX_MAX_XFER
  expect(OWN_CAPABILITIES.maxMessageFds).toBeLessThanOrEqual(16);
  expect(OWN_CAPABILITIES.maxDmaMaps).toBeLessThanOrEqual(65535);
  expect(OWN_CAPABILITIES.maxDataTransfer).toBeLessThanOrEqual(64 * 1024 * 1024);
  expect(OWN_CAPABILITIES.pageSizes & 4095).toBe(0);
});

test("a value that a peer leaves out has the specification's default", () => {
  const defaults = {
    maxMessageFds: 1,
    maxDataTransfer: 1048576,
    maxDmaMaps: 65535,
    pageSizes: 4096,
    writeMultiple: false,
    twinSocket: undefined,
  };
  expect(decodeCapabilities(new Uint8Array())).toEqual(defaults);
  expect(decodeCapabilities(text("{}"))).toEqual(defaults);
  expect(decodeCapabilities(text('{"capabilities":{}}'))).toEqual(defaults);
  const qemu = '{"capabilities":{"migration":{"pgsize":4096},"max_msg_fds":8,"write_multiple":true,"new":[]}}';
  expect(decodeCapabilities(text(qemu))).toEqual({ ...defaults, maxMessageFds: 8, writeMultiple: true });
});

test.each([
  ["no NUL", new TextEncoder().encode("{}")],
  ["a NUL in the middle", new TextEncoder().encode("{}\0 \0")],
  ["no JSON", text("{capabilities}")],
  ["broken UTF-8", Uint8Array.of(0x22, 0xff, 0x22, 0)],
  ["an array", text("[]")],
  ["null", text("null")],
  ["capabilities that are not an object", text('{"capabilities":3}')],
  ["a text as number", text('{"capabilities":{"max_msg_fds":"8"}}')],
  ["a negative number", text('{"capabilities":{"max_dma_maps":-1}}')],
  ["a fraction", text('{"capabilities":{"max_data_xfer_size":1.5}}')],
  ["zero data", text('{"capabilities":{"max_data_xfer_size":0}}')],
  ["a number as boolean", text('{"capabilities":{"write_multiple":1}}')],
  ["a twin socket that is a boolean", text('{"capabilities":{"twin_socket":true}}')],
  ["a twin socket supported by a number", text('{"capabilities":{"twin_socket":{"supported":1}}}')],
  ["a twin socket at a negative index", text('{"capabilities":{"twin_socket":{"supported":true,"fd_index":-1}}}')],
  ["far too much", new Uint8Array(20_000)],
])("%s is refused with a reason", (_name, bytes) => {
  expect(typeof decodeCapabilities(bytes)).toBe("string");
});

test("garbage never throws", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeCapabilities(bytes)));
  fc.assert(fc.property(fc.json(), (json) => void decodeCapabilities(text(json))));
});
