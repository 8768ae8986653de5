import { IoatBench, Offset } from "../testing/ioat-bench";
import { Control } from "./descriptor";
import { Chanctrl, ChannelStatus } from "./registers";

const FAR = 0x20_0000;

function pattern(bytes: Uint8Array, seed: number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + seed) & 0xff;
}

describe.each([
  ["shared by descriptor", true],
  ["served by message", false],
])("IOAT copies in memory %s", (_, shared) => {
  it("moves the bytes and no others", () => {
    const bench = new IoatBench({ shared });
    pattern(bench.data.subarray(0, FAR), 7);
    bench.data.fill(0xee, FAR);
    bench.describe(0, { size: 1001, source: IoatBench.data + 3n, destination: IoatBench.data + BigInt(FAR + 5) });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.status).toBe(ChannelStatus.done);
    expect(bench.data.subarray(FAR + 5, FAR + 5 + 1001)).toEqual(bench.data.subarray(3, 3 + 1001));
    expect(bench.data[FAR + 4]).toBe(0xee);
    expect(bench.data[FAR + 5 + 1001]).toBe(0xee);
  });

  it("moves 1 MiB in slices, answering in between", () => {
    const bench = new IoatBench({ shared });
    pattern(bench.data.subarray(0, 0x10_0000), 1);
    bench.describe(0, { size: 0x10_0000 });
    bench.write64(Offset.CHAINADDR, IoatBench.at(0));
    bench.bar.write(Offset.DMACOUNT, 2, 1);
    expect(bench.model.step()).toBe(true);
    expect(bench.status).toBe(ChannelStatus.active);
    expect(bench.bar.read64?.(Offset.CDAR)).toBe(IoatBench.at(0));
    bench.run();
    expect(bench.status).toBe(ChannelStatus.done);
    expect(Buffer.compare(bench.data.subarray(FAR, FAR + 0x10_0000), bench.data.subarray(0, 0x10_0000))).toBe(0);
  });

  it("fills with eight bytes over and over", () => {
    const bench = new IoatBench({ shared });
    bench.describe(0, {
      size: 100_003,
      control: 0x0100_0000,
      source: 0x0807_0605_0403_0201n,
      destination: IoatBench.data + 1n,
    });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.status).toBe(ChannelStatus.done);
    const filled = bench.data.subarray(1, 100_004);
    expect(filled.every((byte, i) => byte === (i % 8) + 1)).toBe(true);
    expect([bench.data[0], bench.data[100_004]]).toEqual([0, 0]);
  });
});

describe("IOAT descriptors", () => {
  it("executes a chain in order and shows the last one in CHANSTS", () => {
    const bench = new IoatBench();
    bench.data.set([1, 2, 3, 4]);
    bench.describe(0, { size: 4, destination: IoatBench.data + 0x100n });
    bench.describe(1, { size: 4, source: IoatBench.data + 0x100n, destination: IoatBench.data + 0x200n });
    bench.describe(2, { size: 4, source: IoatBench.data + 0x200n, destination: IoatBench.data + 0x300n });
    bench.submit(IoatBench.at(0), 3);
    expect([...bench.data.subarray(0x300, 0x304)]).toEqual([1, 2, 3, 4]);
    expect(bench.lastDescriptor).toBe(IoatBench.at(2));
  });

  it("stops at the count and goes on when more is handed over", () => {
    const bench = new IoatBench();
    for (let i = 0; i < 4; i++) bench.describe(i, { size: 8 });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.lastDescriptor).toBe(IoatBench.at(0));
    bench.bar.write(Offset.DMACOUNT, 2, 3);
    bench.run();
    expect(bench.lastDescriptor).toBe(IoatBench.at(2));
  });

  it("repeats a descriptor linked to itself 65535 times, and counts on across 16 bits", () => {
    const bench = new IoatBench();
    bench.describe(0, { size: 16, next: IoatBench.at(0) });
    bench.submit(IoatBench.at(0), 0xffff);
    expect(bench.status).toBe(ChannelStatus.done);
    bench.bar.write(Offset.DMACOUNT, 2, 1);
    bench.run();
    expect(bench.status).toBe(ChannelStatus.done);
    expect(bench.error).toBe(0);
  });

  it("starts again from a new CHAINADDR, with nothing handed over and no descriptor completed", () => {
    const bench = new IoatBench();
    bench.describe(0, { size: 8 });
    bench.submit(IoatBench.at(0), 1);
    bench.write64(Offset.CHAINADDR, IoatBench.at(0));
    expect(bench.bar.read(Offset.DMACOUNT, 2)).toBe(0);
    expect(bench.lastDescriptor).toBe(0n);
    bench.bar.write(Offset.DMACOUNT, 2, 1);
    bench.run();
    expect(bench.lastDescriptor).toBe(IoatBench.at(0));
  });

  it("moves nothing for a null descriptor, but completes it", () => {
    const bench = new IoatBench();
    bench.data.set([9, 9, 9]);
    bench.write64(Offset.CHANCMP, IoatBench.completion);
    const control = Control.null | Control.completionWrite | Control.interrupt;
    bench.describe(0, { size: 1, control, source: 0n, destination: 0n });
    bench.bar.write(Offset.INTRCTRL, 1, 0x08);
    bench.submit(IoatBench.at(0), 1);
    expect(bench.completionWord).toBe(IoatBench.at(0) | 1n);
    expect(bench.host.interrupts).toEqual(["2:0"]);
    expect(bench.host.faults).toEqual([]);
  });

  it("writes completions only where asked, as CHANSTS shows them", () => {
    const bench = new IoatBench();
    bench.write64(Offset.CHANCMP, IoatBench.completion + 8n);
    bench.describe(0, { size: 8, control: Control.completionWrite });
    bench.describe(1, { size: 8 });
    bench.submit(IoatBench.at(0), 2);
    expect(new DataView(bench.completion.buffer).getBigUint64(8, true)).toBe(IoatBench.at(0) | 0n);
    expect(bench.completionWord).toBe(0n);
  });

  it("accepts every defined control bit of a copy", () => {
    const bench = new IoatBench();
    bench.write64(Offset.CHANCMP, IoatBench.completion);
    bench.data.set([5]);
    bench.describe(0, { size: 1, control: 0x7ff & ~Control.null });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.error).toBe(0);
    expect(bench.data[FAR]).toBe(5);
  });
});

describe("IOAT commands", () => {
  const bench = (): IoatBench => {
    const made = new IoatBench();
    for (let i = 0; i < 3; i++) made.describe(i, { size: 0x10_0000 });
    made.write64(Offset.CHAINADDR, IoatBench.at(0));
    made.bar.write(Offset.DMACOUNT, 2, 3);
    made.model.step();
    return made;
  };

  it("suspends at the end of the descriptor under way and resumes after it", () => {
    const b = bench();
    b.command(0x04);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0x04);
    expect(b.status).toBe(ChannelStatus.active);
    b.run();
    expect(b.status).toBe(ChannelStatus.suspended);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0);
    expect(b.lastDescriptor).toBe(IoatBench.at(0));
    b.command(0x10);
    b.run();
    expect(b.status).toBe(ChannelStatus.done);
    expect(b.lastDescriptor).toBe(IoatBench.at(2));
  });

  it("suspends at once when idle, and takes new work from there", () => {
    const b = bench();
    b.run();
    b.command(0x04);
    expect(b.status).toBe(ChannelStatus.suspended);
    b.submit(IoatBench.at(0), 1);
    expect(b.status).toBe(ChannelStatus.done);
  });

  it.each([
    ["aborts", 0x08],
    ["resets", 0x20],
  ])("%s during a descriptor: halted, no error, nothing more is written", (_, command) => {
    const b = bench();
    b.command(command);
    expect(b.bar.read(Offset.CHANCMD, 1)).toBe(0);
    expect(b.status).toBe(ChannelStatus.halted);
    b.data.fill(0x77);
    b.run();
    expect(b.data.every((byte) => byte === 0x77)).toBe(true);
    expect(b.error).toBe(0);
  });

  it("forgets addresses and control on reset, but not who owns the channel", () => {
    const b = bench();
    b.bar.read(Offset.CHANCTRL, 2);
    b.bar.write(Offset.CHANCTRL, 2, Chanctrl.inUse | Chanctrl.errorInterruptEnable);
    b.write64(Offset.CHANCMP, IoatBench.completion);
    b.command(0x20);
    expect(b.bar.read64?.(Offset.CHAINADDR)).toBe(0n);
    expect(b.bar.read64?.(Offset.CHANCMP)).toBe(0n);
    expect(b.bar.read(Offset.CHANCTRL, 2)).toBe(Chanctrl.inUse);
  });

  it("halts with a command error for two commands at once or a reserved one", () => {
    for (const command of [0x24, 0x40, 0xff]) {
      const b = bench();
      b.command(command);
      expect(b.status).toBe(ChannelStatus.halted);
      expect(b.error).toBe(0x20);
    }
  });

  it("runs a chain to its null pointer by START and goes on with what APPEND announces", () => {
    const b = new IoatBench();
    b.describe(0, { size: 8 });
    b.describe(1, { size: 8, next: 0n });
    b.write64(Offset.CHAINADDR, IoatBench.at(0));
    b.command(0x01);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatBench.at(1)]);
    b.command(0x02);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatBench.at(1)]);
    b.describe(2, { size: 8, next: 0n });
    b.describe(1, { size: 8 });
    b.command(0x02);
    b.run();
    expect([b.status, b.lastDescriptor]).toEqual([ChannelStatus.done, IoatBench.at(2)]);
  });

  it("can be stopped in a chain without end", () => {
    const b = new IoatBench();
    b.describe(0, { size: 1, next: IoatBench.at(0) });
    b.write64(Offset.CHAINADDR, IoatBench.at(0));
    b.command(0x01);
    b.run(1000);
    expect(b.status).toBe(ChannelStatus.active);
    b.command(0x08);
    expect(b.model.step()).toBe(false);
    expect(b.status).toBe(ChannelStatus.halted);
  });

  it("drops its work when the device is reset or the client goes", () => {
    for (const end of ["reset", "clientGone"] as const) {
      const b = bench();
      b.model[end]();
      expect(b.status).toBe(ChannelStatus.halted);
      expect(b.model.step()).toBe(false);
    }
  });

  it("forgets a descriptor whose channel was reset while its memory was being read", () => {
    const b = new IoatBench({ shared: false });
    b.data.fill(0x42, 0, 64);
    b.describe(0, { size: 64 });
    b.write64(Offset.CHAINADDR, IoatBench.at(0));
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
