import { IoatFixture, Offset } from "../testing/ioat-fixture";
import { Control } from "./channel/descriptor";
import { Chanctrl, ChannelStatus } from "./registers/bar0";
import { ChannelError } from "./registers/channel-error";

const FAR = 0x20_0000;

function pattern(bytes: Uint8Array, seed: number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + seed) & 0xff;
}

describe.each([
  ["shared by descriptor", true],
  ["served by message", false],
])("IOAT copies in memory %s", (_, shared) => {
  it("moves the bytes and no others", () => {
    const ioat = new IoatFixture({ shared });
    pattern(ioat.data.subarray(0, FAR), 7);
    ioat.data.fill(0xee, FAR);
    ioat.describe(0, { size: 1001, source: IoatFixture.data + 3n, destination: IoatFixture.data + BigInt(FAR + 5) });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.status).toBe(ChannelStatus.done);
    expect(ioat.data.subarray(FAR + 5, FAR + 5 + 1001)).toEqual(ioat.data.subarray(3, 3 + 1001));
    expect(ioat.data[FAR + 4]).toBe(0xee);
    expect(ioat.data[FAR + 5 + 1001]).toBe(0xee);
  });

  it("moves much in slices, answering in between", () => {
    const ioat = new IoatFixture({ shared });
    pattern(ioat.data.subarray(0, 0x10_0000), 1);
    const size = 0x10_0000;
    ioat.describe(0, { size });
    ioat.describe(1, { size, destination: IoatFixture.data + BigInt(FAR + size) });
    ioat.write64(Offset.CHAINADDR, IoatFixture.at(0));
    ioat.bar.write(Offset.DMACOUNT, 2, 2);
    expect(ioat.model.step()).toBe(true);
    expect(ioat.status).toBe(ChannelStatus.active);
    expect(ioat.data.subarray(FAR + size).every((byte) => byte === 0)).toBe(true);
    ioat.run();
    expect(ioat.status).toBe(ChannelStatus.done);
    for (const at of [FAR, FAR + size]) {
      expect(Buffer.compare(ioat.data.subarray(at, at + size), ioat.data.subarray(0, size))).toBe(0);
    }
  });

  it.each([
    ["source", { source: IoatFixture.data + 0x40_0000n - 700n }, ChannelError.sourceAddress],
    ["destination", { destination: IoatFixture.data + 0x40_0000n - 700n }, ChannelError.destinationAddress],
  ])("moves the bytes before a fault of the %s, and nothing else", (_, fields, error) => {
    const ioat = new IoatFixture({ shared });
    pattern(ioat.data.subarray(0, 1000), 3);
    pattern(ioat.data.subarray(0x40_0000 - 700), 9);
    const [source, destination] = "source" in fields ? [0x40_0000 - 700, FAR] : [0, 0x40_0000 - 700];
    const expected = ioat.data.slice(source, source + 700);
    ioat.describe(0, { size: 1000, ...fields });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.error).toBe(error);
    expect(Buffer.compare(ioat.data.subarray(destination, destination + 700), expected)).toBe(0);
    if (destination === FAR) expect(ioat.data[FAR + 700]).toBe(0);
    expect(ioat.host.faults).toHaveLength(1);
  });

  it("fills with eight bytes over and over", () => {
    const ioat = new IoatFixture({ shared });
    ioat.describe(0, {
      size: 100_003,
      control: 0x0100_0000,
      source: 0x0807_0605_0403_0201n,
      destination: IoatFixture.data + 1n,
    });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.status).toBe(ChannelStatus.done);
    const filled = ioat.data.subarray(1, 100_004);
    expect(filled.every((byte, i) => byte === (i % 8) + 1)).toBe(true);
    expect([ioat.data[0], ioat.data[100_004]]).toEqual([0, 0]);
  });
});

describe("IOAT descriptors", () => {
  it("executes a chain in order and shows the last one in CHANSTS", () => {
    const ioat = new IoatFixture();
    ioat.data.set([1, 2, 3, 4]);
    ioat.describe(0, { size: 4, destination: IoatFixture.data + 0x100n });
    ioat.describe(1, { size: 4, source: IoatFixture.data + 0x100n, destination: IoatFixture.data + 0x200n });
    ioat.describe(2, { size: 4, source: IoatFixture.data + 0x200n, destination: IoatFixture.data + 0x300n });
    ioat.submit(IoatFixture.at(0), 3);
    expect([...ioat.data.subarray(0x300, 0x304)]).toEqual([1, 2, 3, 4]);
    expect(ioat.lastDescriptor).toBe(IoatFixture.at(2));
  });

  it("stops at the count and goes on when more is handed over", () => {
    const ioat = new IoatFixture();
    for (let i = 0; i < 4; i++) ioat.describe(i, { size: 8 });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.lastDescriptor).toBe(IoatFixture.at(0));
    ioat.bar.write(Offset.DMACOUNT, 2, 3);
    ioat.run();
    expect(ioat.lastDescriptor).toBe(IoatFixture.at(2));
  });

  it("repeats a descriptor linked to itself 65535 times, and counts on across 16 bits", () => {
    const ioat = new IoatFixture();
    ioat.describe(0, { size: 16, next: IoatFixture.at(0) });
    ioat.submit(IoatFixture.at(0), 0xffff);
    expect(ioat.status).toBe(ChannelStatus.done);
    ioat.bar.write(Offset.DMACOUNT, 2, 1);
    ioat.run();
    expect(ioat.status).toBe(ChannelStatus.done);
    expect(ioat.error).toBe(0);
  });

  it("starts again from a new CHAINADDR, with nothing handed over and no descriptor completed", () => {
    const ioat = new IoatFixture();
    ioat.describe(0, { size: 8 });
    ioat.submit(IoatFixture.at(0), 1);
    ioat.write64(Offset.CHAINADDR, IoatFixture.at(0));
    expect(ioat.bar.read(Offset.DMACOUNT, 2)).toBe(0);
    expect(ioat.lastDescriptor).toBe(0n);
    ioat.bar.write(Offset.DMACOUNT, 2, 1);
    ioat.run();
    expect(ioat.lastDescriptor).toBe(IoatFixture.at(0));
  });

  it("moves nothing for a null descriptor, but completes it", () => {
    const ioat = new IoatFixture();
    ioat.data.set([9, 9, 9]);
    ioat.write64(Offset.CHANCMP, IoatFixture.completion);
    const control = Control.null | Control.completionWrite | Control.interrupt;
    ioat.describe(0, { size: 1, control, source: 0n, destination: 0n });
    ioat.bar.write(Offset.INTRCTRL, 1, 0x08);
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.completionWord).toBe(IoatFixture.at(0) | 1n);
    expect(ioat.host.interrupts).toEqual(["2:0"]);
    expect(ioat.host.faults).toEqual([]);
  });

  it("writes completions only where asked, as CHANSTS shows them", () => {
    const ioat = new IoatFixture();
    ioat.write64(Offset.CHANCMP, IoatFixture.completion + 8n);
    ioat.describe(0, { size: 8, control: Control.completionWrite });
    ioat.describe(1, { size: 8 });
    ioat.submit(IoatFixture.at(0), 2);
    expect(new DataView(ioat.completion.buffer).getBigUint64(8, true)).toBe(IoatFixture.at(0) | 0n);
    expect(ioat.completionWord).toBe(0n);
  });

  it("accepts every defined control bit of a copy", () => {
    const ioat = new IoatFixture();
    ioat.write64(Offset.CHANCMP, IoatFixture.completion);
    ioat.data.set([5]);
    ioat.describe(0, { size: 1, control: 0x7ff & ~Control.null });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.error).toBe(0);
    expect(ioat.data[FAR]).toBe(5);
  });
});

it("keeps a fill's place in the eight bytes where a map ends in the middle of them", () => {
  const ioat = new IoatFixture();
  const next = ioat.host.map(IoatFixture.data + 0x40_0000n, 0x1000);
  const destination = IoatFixture.data + 0x40_0000n - 13n;
  ioat.describe(0, { size: 40, control: 0x0100_0000, source: 0x0807_0605_0403_0201n, destination });
  ioat.submit(IoatFixture.at(0), 1);
  const filled = Buffer.concat([ioat.data.subarray(-13), next.subarray(0, 27)]);
  expect([...filled]).toEqual(Array.from({ length: 40 }, (_, i) => (i % 8) + 1));
});

describe("IOAT commands", () => {
  const ioat = (): IoatFixture => {
    // By message, so that a step moves only a part of a descriptor.
    const made = new IoatFixture({ shared: false });
    for (let i = 0; i < 3; i++) made.describe(i, { size: 0x10_0000 });
    made.write64(Offset.CHAINADDR, IoatFixture.at(0));
    made.bar.write(Offset.DMACOUNT, 2, 3);
    made.model.step();
    return made;
  };

  it("suspends at the end of the descriptor under way and resumes after it", () => {
    const b = ioat();
    expect(b.bar.read64?.(Offset.CDAR)).toBe(IoatFixture.at(0));
    b.command(0x04);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0x04);
    expect(b.status).toBe(ChannelStatus.active);
    b.run();
    expect(b.status).toBe(ChannelStatus.suspended);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0);
    expect(b.lastDescriptor).toBe(IoatFixture.at(0));
    b.command(0x10);
    b.run();
    expect(b.status).toBe(ChannelStatus.done);
    expect(b.lastDescriptor).toBe(IoatFixture.at(2));
  });

  it("suspends at once when idle, and takes new work from there", () => {
    const b = ioat();
    b.run();
    b.command(0x04);
    expect(b.status).toBe(ChannelStatus.suspended);
    b.submit(IoatFixture.at(0), 1);
    expect(b.status).toBe(ChannelStatus.done);
  });

  it.each([
    ["aborts", 0x08],
    ["resets", 0x20],
  ])("%s during a descriptor: halted, no error, nothing more is written", (_, command) => {
    const b = ioat();
    b.command(command);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0);
    expect(b.status).toBe(ChannelStatus.halted);
    b.data.fill(0x77);
    b.run();
    expect(b.data.every((byte) => byte === 0x77)).toBe(true);
    expect(b.error).toBe(0);
  });

  it("forgets addresses and control on reset, but not the channel's owner", () => {
    const b = ioat();
    b.bar.read(Offset.CHANCTRL, 2);
    b.bar.write(Offset.CHANCTRL, 2, Chanctrl.inUse | Chanctrl.errorInterruptEnable);
    b.write64(Offset.CHANCMP, IoatFixture.completion);
    b.command(0x20);
    expect(b.bar.read64?.(Offset.CHAINADDR)).toBe(0n);
    expect(b.bar.read64?.(Offset.CHANCMP)).toBe(0n);
    expect(b.bar.read(Offset.CHANCTRL, 2)).toBe(Chanctrl.inUse);
  });

  it("halts with a command error for two commands at once or a reserved one", () => {
    for (const command of [0x24, 0x40, 0xff]) {
      const b = ioat();
      b.command(command);
      expect(b.status).toBe(ChannelStatus.halted);
      expect(b.error).toBe(0x20);
    }
  });

  it("runs a chain to its null pointer by START and goes on with what APPEND announces", () => {
    const b = new IoatFixture();
    b.describe(0, { size: 8 });
    b.describe(1, { size: 8, next: 0n });
    b.write64(Offset.CHAINADDR, IoatFixture.at(0));
    b.command(0x01);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatFixture.at(1)]);
    b.command(0x02);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatFixture.at(1)]);
    b.describe(2, { size: 8, next: 0n });
    b.describe(1, { size: 8 });
    b.command(0x02);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatFixture.at(2)]);
  });

  it("has nothing to append to before the first descriptor of a chain", () => {
    const b = new IoatFixture();
    b.describe(0, { size: 8 });
    b.submit(IoatFixture.at(0), 1);
    b.write64(Offset.CHAINADDR, 0n);
    b.command(0x01);
    b.command(0x02);
    b.run();
    expect([b.status, b.error]).toEqual([ChannelStatus.done, 0]);
    expect(b.host.faults).toEqual([]);
  });

  it("stays halted, and silent, when a reset comes during the completion write", () => {
    const b = new IoatFixture();
    b.bar.write(Offset.INTRCTRL, 1, 0x08);
    b.write64(Offset.CHANCMP, IoatFixture.completion);
    b.describe(0, { size: 8, control: Control.completionWrite | Control.interrupt });
    b.write64(Offset.CHAINADDR, IoatFixture.at(0));
    b.bar.write(Offset.DMACOUNT, 2, 1);
    let accesses = 0;
    // The first access is the descriptor. The copy uses views.
    b.host.duringAccess = () => {
      if (++accesses < 2) return;
      b.command(0x20);
      b.host.failure = "aborted";
    };
    b.run();
    expect(accesses).toBe(2);
    expect(b.status).toBe(ChannelStatus.halted);
    expect(b.host.interrupts).toEqual([]);
  });

  it("drops the descriptor under way when software writes CHAINADDR during one of its accesses", () => {
    const b = new IoatFixture({ shared: false });
    b.describe(0, { size: 8 });
    b.write64(Offset.CHAINADDR, IoatFixture.at(0));
    b.bar.write(Offset.DMACOUNT, 2, 1);
    let accesses = 0;
    b.host.duringAccess = () => {
      if (++accesses === 2) b.write64(Offset.CHAINADDR, IoatFixture.at(5));
    };
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, 0n]);
    b.host.duringAccess = undefined;
    b.describe(5, { size: 8 });
    b.bar.write(Offset.DMACOUNT, 2, 1);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatFixture.at(5)]);
  });

  it("can be stopped in a chain without end", () => {
    const b = new IoatFixture();
    b.describe(0, { size: 1, next: IoatFixture.at(0) });
    b.write64(Offset.CHAINADDR, IoatFixture.at(0));
    b.command(0x01);
    b.run(1000);
    expect(b.status).toBe(ChannelStatus.active);
    b.command(0x08);
    expect(b.model.step()).toBe(false);
    expect(b.status).toBe(ChannelStatus.halted);
  });

  it("drops its work when the device is reset or the client goes", () => {
    for (const end of ["reset", "clientGone"] as const) {
      const b = ioat();
      b.model[end]();
      expect(b.status).toBe(ChannelStatus.halted);
      expect(b.model.step()).toBe(false);
    }
  });

  it("forgets a descriptor whose channel was reset while its memory was being read", () => {
    const b = new IoatFixture({ shared: false });
    b.data.fill(0x42, 0, 64);
    b.describe(0, { size: 64 });
    b.write64(Offset.CHAINADDR, IoatFixture.at(0));
    b.bar.write(Offset.DMACOUNT, 2, 1);
    b.host.duringAccess = () => {
      b.host.duringAccess = undefined;
      b.command(0x20);
    };
    b.run();
    expect(b.status).toBe(ChannelStatus.halted);
    expect(b.data[FAR]).toBe(0);
  });
});
