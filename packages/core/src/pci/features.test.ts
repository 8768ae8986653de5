import type { PayloadLink } from "../contracts/vfio-device";
import { FakeVfioDevice } from "../testing/fake-vfio-device";
import { DeviceFeatures } from "./features";

interface Call {
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly links: readonly PayloadLink[];
}

let calls: Call[] = [];
const device = new FakeVfioDevice({
  onFeature: (flags, payload, links) => {
    calls.push({ flags, payload, links });
    return payload;
  },
});
const features = new DeviceFeatures(device);
beforeEach(() => (calls = []));
afterAll(() => device.close());

/** VFIO_DEVICE_FEATURE_DMA_LOGGING_START and _REPORT. */
const LOGGING_START = 6;
const LOGGING_REPORT = 8;

test("get reads into a structure of a size, and set hands one over", () => {
  expect(features.get(10, 4)).toHaveLength(4);
  features.set(0, Uint8Array.of(1, 2));
  expect(calls).toEqual([
    { flags: 0x1000a, payload: new Uint8Array(4), links: [] },
    { flags: 0x20000, payload: Uint8Array.of(1, 2), links: [] },
  ]);
});

test("both carry memory that the structure points to, and get a structure that the kernel reads", () => {
  const ranges = new Uint8Array(16);
  const bitmap = new Uint8Array(64);
  const report = Uint8Array.from({ length: 32 }, (_, i) => i);
  features.set(LOGGING_START, new Uint8Array(24), [{ offset: 16, bytes: ranges }]);
  expect(features.get(LOGGING_REPORT, report, [{ offset: 24, bytes: bitmap }])).toBe(report);
  expect(calls.map(({ links }) => links[0]?.offset)).toEqual([16, 24]);
  expect(calls[0]?.links[0]?.bytes).toBe(ranges);
  expect(calls[1]?.links[0]?.bytes).toBe(bitmap);
});

test.each<[string, number, PayloadLink[], string]>([
  ["a pointer beyond the structure", 24, [link(24)], "links[0].offset is 24; allowed: multiples of 8 from 0 to 16"],
  ["a pointer that is not aligned", 24, [link(0), link(4)], "links[1].offset is 4"],
  ["a pointer before the structure", 24, [link(-8)], "links[0].offset is -8"],
  ["a pointer in a structure without room", 4, [link(0)], "allowed: none: the structure is too short"],
  ["no bytes", 24, [link(0, 0)], "links[0].bytes.length is 0; allowed: 1 to 1048576"],
  ["too many bytes", 24, [link(0, 2 ** 20 + 1)], "links[0].bytes.length is 1048577"],
  ["too many links", 64, [0, 8, 16, 24, 32].map((offset) => link(offset)), "links.length is 5; allowed: 0 to 4"],
])("refuses %s, and the device never sees it", (_, length, links, message) => {
  expect(() => features.set(LOGGING_START, new Uint8Array(length), links)).toThrow(message);
  expect(() => features.get(LOGGING_REPORT, new Uint8Array(length), links)).toThrow(message);
  expect(calls).toEqual([]);
});

function link(offset: number, length = 16): PayloadLink {
  return { offset, bytes: new Uint8Array(length) };
}
