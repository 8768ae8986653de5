import fc from "fast-check";
import { DmaMemory, Iommu } from "@vfio-selftests/core";
import { FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";
import { HEADER_SIZE, Layout, RX_RING_SIZE, TX_RING_SIZE } from "./region-layout";
import { Rings } from "./rings";

const IOVA = 0x7fff_0000n;
const EOP = 1 << 24;
const memory = DmaMemory.allocate(Layout.size);
const iommu = new Iommu(new FakeIommuBackend(() => new FakeVfioDevice()));
const region = iommu.map(memory, { iova: IOVA });
const words = new Int32Array(memory.buffer);

afterAll(() => {
  iommu.close();
  memory.close();
});

/** The transmit descriptors of the last pushed frame, as the device reads them. */
function sent(rings: Rings, from: number) {
  const descriptors = [];
  for (let i = from; i !== rings.txTail; i = (i + 1) % TX_RING_SIZE) {
    const at = Layout.txRing / 4 + i * 4;
    const address = (BigInt(words[at + 1]! >>> 0) << 32n) | BigInt(words[at]! >>> 0);
    descriptors.push({
      address,
      length: words[at + 2]! & 0xffff,
      last: (words[at + 2]! & EOP) !== 0,
      total: words[at + 3]! >>> 14,
    });
  }
  return descriptors;
}

test("a frame is the header and the data, never a buffer across a page, whatever address and size", () => {
  const rings = new Rings(region);
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 63n) - 1n), fc.integer({ min: 1, max: 1024 }), (source, size) => {
      const from = rings.txTail;
      rings.aim(source, 0x1000n);
      rings.push(size);
      const [header, ...data] = sent(rings, from);
      expect(header).toEqual({
        address: IOVA + BigInt(Layout.txHeader),
        length: HEADER_SIZE,
        last: false,
        total: HEADER_SIZE + size,
      });
      let next = source;
      for (const { address, length, total } of data) {
        expect(address).toBe(next);
        expect((address % 4096n) + BigInt(length)).toBeLessThanOrEqual(4096n);
        expect(total).toBe(HEADER_SIZE + size);
        next += BigInt(length);
      }
      expect(next).toBe(source + BigInt(size));
      expect(data.map(({ last }) => last)).toEqual(data.map((_, i) => i === data.length - 1));
    }),
  );
});

test("a frame counts as received only once the receiver writes back its own descriptor", () => {
  const rings = new Rings(region);
  rings.reset();
  rings.aim(0n, 0n);
  for (let i = 0; i < RX_RING_SIZE + 3; i++) rings.push(64);
  expect(rings.rxTail).toBe(3);
  expect(rings.isReceived(1)).toBe(false);
  const at = Layout.rxRing / 4 + 2 * 4;
  words[at + 2] = 0x3;
  words[at + 3] = 0xabcd0040;
  expect([rings.isReceived(1), rings.status(1), rings.length(1)]).toEqual([true, 3, 64]);
  expect(rings.isReceived(2)).toBe(false);
  // The next round through the ring clears it.
  for (let i = 0; i < RX_RING_SIZE; i++) rings.push(64);
  expect(rings.isReceived(1)).toBe(false);
});

test("ring bases are multiples of 128, as the device wants them", () => {
  const rings = new Rings(region);
  expect([rings.txBase % 128n, rings.rxBase % 128n]).toEqual([0n, 0n]);
});
