import { IoatBench, Offset, type DescriptorFields } from "../testing/ioat-bench";
import { ChannelError } from "./channel-error";
import { Control } from "./descriptor";
import { Chanctrl, ChannelStatus } from "./registers";

const nowhere = IoatBench.nowhere;
const TOP = 0xffff_ffff_ffff_ffffn;

describe("CHANERR", () => {
  it.each<[string, DescriptorFields, number]>([
    ["a source that is not mapped", { source: nowhere }, ChannelError.sourceAddress],
    ["a source that runs off its mapping", { source: IoatBench.data + 0x3f_ffe0n }, ChannelError.sourceAddress],
    ["a source that wraps", { source: TOP - 8n, size: 16 }, ChannelError.sourceAddress],
    ["a destination that is not mapped", { destination: nowhere }, ChannelError.destinationAddress],
    ["a destination that wraps", { destination: TOP - 8n, size: 16 }, ChannelError.destinationAddress],
    ["no length", { size: 0 }, ChannelError.descriptorLength],
    ["no length of a null descriptor", { size: 0, control: Control.null }, ChannelError.descriptorLength],
    ["more than XFERCAP allows", { size: 0x10_0001 }, ChannelError.descriptorLength],
    ["a reserved control bit", { control: 0x800 }, ChannelError.descriptorControl],
    ["all reserved control bits", { control: 0xff_f800 }, ChannelError.descriptorControl],
    ["a control bit that a fill has not", { control: 0x0100_0020 }, ChannelError.descriptorControl],
    ["an XOR", { control: 0x8700_0000 }, ChannelError.descriptorControl],
    ["a PQ", { control: 0x8900_0000 }, ChannelError.descriptorControl],
    ["an unknown operation", { control: 0xff00_0000 }, ChannelError.descriptorControl],
    ["no completion address", { control: Control.completionWrite }, ChannelError.completionAddress],
  ])("tells %s", (_, fields, error) => {
    const bench = new IoatBench();
    bench.describe(0, { size: 8 });
    bench.describe(1, fields);
    bench.submit(IoatBench.at(0), 3);
    expect(bench.status).toBe(ChannelStatus.halted);
    expect(bench.error).toBe(error);
    expect(bench.lastDescriptor).toBe(IoatBench.at(1));
    expect(bench.config.read(0x180, 4)).toBe(error);
    expect(1 << bench.config.read(0x18c, 1)).toBe(error);
  });

  it("tells a source whose client fails the access from one that is not there", () => {
    const bench = new IoatBench({ shared: false });
    bench.describe(0, {});
    bench.write64(Offset.CHAINADDR, IoatBench.at(0));
    bench.bar.write(Offset.DMACOUNT, 2, 1);
    let accesses = 0;
    bench.host.duringAccess = () => {
      if (++accesses === 2) bench.host.failure = "failed";
    };
    bench.run();
    expect(bench.error).toBe(ChannelError.readData);
  });

  it.each([
    ["unreachable", nowhere],
    ["not on 64 bytes", IoatBench.at(0) + 32n],
  ])("tells a CHAINADDR that is %s", (_, address) => {
    const bench = new IoatBench();
    bench.submit(address, 1);
    expect([bench.status, bench.error]).toEqual([ChannelStatus.halted, ChannelError.chainAddressValue]);
  });

  it.each([
    ["unreachable", nowhere],
    ["not on 64 bytes", IoatBench.at(1) + 1n],
  ])("tells a next pointer that is %s, when it is used", (_, next) => {
    const bench = new IoatBench();
    bench.describe(0, { next });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.status).toBe(ChannelStatus.done);
    bench.submit(IoatBench.at(0), 2);
    expect([bench.status, bench.error]).toEqual([ChannelStatus.halted, ChannelError.nextDescriptorAddress]);
  });

  it.each([
    ["misaligned", IoatBench.completion + 4n],
    ["unreachable", nowhere],
  ])("tells a completion address that is %s", (_, address) => {
    const bench = new IoatBench();
    bench.write64(Offset.CHANCMP, address);
    bench.describe(0, { control: Control.completionWrite });
    bench.submit(IoatBench.at(0), 1);
    expect([bench.status, bench.error]).toEqual([ChannelStatus.halted, ChannelError.completionAddress]);
  });

  it("cannot reach memory without bus mastering, and asks no one", () => {
    const bench = new IoatBench();
    bench.config.write(0x04, 2, 0x2);
    bench.describe(0, {});
    bench.submit(IoatBench.at(0), 1);
    expect(bench.error).toBe(ChannelError.chainAddressValue);
    expect(bench.host.faults).toEqual([]);
  });

  it("has the fault seen by the IOMMU at the address that failed", () => {
    const bench = new IoatBench();
    bench.describe(0, { source: nowhere + 0x123n });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.host.faults).toEqual([{ iova: nowhere + 0x123n, reason: "unmapped", access: "read" }]);
  });

  it("tells by completion write and interrupt as CHANCTRL says", () => {
    const bench = new IoatBench();
    bench.bar.write(Offset.INTRCTRL, 1, 0x08);
    bench.write64(Offset.CHANCMP, IoatBench.completion);
    bench.bar.write(Offset.CHANCTRL, 2, Chanctrl.errorCompletionEnable | Chanctrl.errorInterruptEnable);
    bench.describe(0, { source: nowhere });
    bench.submit(IoatBench.at(0), 1);
    expect(bench.completionWord).toBe(IoatBench.at(0) | 3n);
    expect(bench.host.interrupts).toEqual(["2:0"]);
  });

  it("keeps the channel halted until cleared, then runs again without a reset", () => {
    const bench = new IoatBench();
    bench.data.set([3]);
    bench.describe(0, { source: nowhere });
    bench.submit(IoatBench.at(0), 1);
    bench.describe(0, {});
    bench.submit(IoatBench.at(0), 1);
    expect(bench.status).toBe(ChannelStatus.halted);
    bench.bar.write(Offset.CHANERR, 4, ChannelError.sourceAddress);
    expect(bench.error).toBe(0);
    bench.submit(IoatBench.at(0), 1);
    expect(bench.status).toBe(ChannelStatus.done);
    expect(bench.data[0x20_0000]).toBe(3);
  });

  it("survives channel reset and function level reset", () => {
    const bench = new IoatBench();
    bench.describe(0, { size: 0 });
    bench.submit(IoatBench.at(0), 1);
    bench.command(0x20);
    bench.config.write(0x98, 2, 0x8000);
    expect(bench.error).toBe(ChannelError.descriptorLength);
    expect(bench.config.read(0x180, 4)).toBe(ChannelError.descriptorLength);
  });

  it("leaves out the descriptor of a masked error and goes on", () => {
    const bench = new IoatBench();
    bench.bar.write(Offset.CHANERRMSK, 4, ChannelError.sourceAddress);
    bench.data.set([8]);
    bench.describe(0, { source: nowhere });
    bench.describe(1, { size: 1 });
    bench.submit(IoatBench.at(0), 2);
    expect([bench.status, bench.error]).toEqual([ChannelStatus.done, 0]);
    expect(bench.data[0x20_0000]).toBe(8);
  });
});
