import { type DescriptorFields, IoatFixture, Offset } from "../testing/ioat-fixture";
import { Control } from "./channel/descriptor";
import { Chanctrl, ChannelStatus } from "./registers/bar0";
import { ChannelError } from "./registers/channel-error";

const nowhere = IoatFixture.nowhere;
const TOP = 0xffff_ffff_ffff_ffffn;

describe("CHANERR", () => {
  it.each<[string, DescriptorFields, number]>([
    ["a source that is not mapped", { source: nowhere }, ChannelError.sourceAddress],
    ["a source that runs off its mapping", { source: IoatFixture.data + 0x3f_ffe0n }, ChannelError.sourceAddress],
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
    const ioat = new IoatFixture();
    ioat.describe(0, { size: 8 });
    ioat.describe(1, fields);
    ioat.submit(IoatFixture.at(0), 3);
    expect(ioat.status).toBe(ChannelStatus.halted);
    expect(ioat.error).toBe(error);
    expect(ioat.lastDescriptor).toBe(IoatFixture.at(1));
    expect(ioat.config.read(0x180, 4)).toBe(error);
    expect(1 << ioat.config.read(0x18c, 1)).toBe(error);
  });

  it("tells a failed access to the source from an unmapped source", () => {
    const ioat = new IoatFixture({ shared: false });
    ioat.describe(0, {});
    ioat.write64(Offset.CHAINADDR, IoatFixture.at(0));
    ioat.bar.write(Offset.DMACOUNT, 2, 1);
    let accesses = 0;
    ioat.host.duringAccess = () => {
      if (++accesses === 2) ioat.host.failure = "failed";
    };
    ioat.run();
    expect(ioat.error).toBe(ChannelError.readData);
  });

  it.each([
    ["unreachable", nowhere],
    ["not on 64 bytes", IoatFixture.at(0) + 32n],
  ])("tells a CHAINADDR that is %s", (_, address) => {
    const ioat = new IoatFixture();
    ioat.submit(address, 1);
    expect([ioat.status, ioat.error]).toEqual([ChannelStatus.halted, ChannelError.chainAddressValue]);
  });

  it.each([
    ["unreachable", nowhere],
    ["not on 64 bytes", IoatFixture.at(1) + 1n],
  ])("tells a next pointer that is %s, when it is used", (_, next) => {
    const ioat = new IoatFixture();
    ioat.describe(0, { next });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.status).toBe(ChannelStatus.done);
    ioat.submit(IoatFixture.at(0), 2);
    expect([ioat.status, ioat.error]).toEqual([ChannelStatus.halted, ChannelError.nextDescriptorAddress]);
  });

  it.each([
    ["misaligned", IoatFixture.completion + 4n],
    ["unreachable", nowhere],
  ])("tells a completion address that is %s", (_, address) => {
    const ioat = new IoatFixture();
    ioat.write64(Offset.CHANCMP, address);
    ioat.describe(0, { control: Control.completionWrite });
    ioat.submit(IoatFixture.at(0), 1);
    expect([ioat.status, ioat.error]).toEqual([ChannelStatus.halted, ChannelError.completionAddress]);
  });

  it("cannot reach memory without bus mastering, and asks no one", () => {
    const ioat = new IoatFixture();
    ioat.config.write(0x04, 2, 0x2);
    ioat.describe(0, {});
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.error).toBe(ChannelError.chainAddressValue);
    expect(ioat.host.faults).toEqual([]);
  });

  it("shows the fault to the IOMMU at the failed address", () => {
    const ioat = new IoatFixture();
    ioat.describe(0, { source: nowhere + 0x123n });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.host.faults).toEqual([{ iova: nowhere + 0x123n, reason: "unmapped", access: "read" }]);
  });

  it("reports by completion write and interrupt as CHANCTRL says", () => {
    const ioat = new IoatFixture();
    ioat.bar.write(Offset.INTRCTRL, 1, 0x08);
    ioat.write64(Offset.CHANCMP, IoatFixture.completion);
    ioat.bar.write(Offset.CHANCTRL, 2, Chanctrl.errorCompletionEnable | Chanctrl.errorInterruptEnable);
    ioat.describe(0, { source: nowhere });
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.completionWord).toBe(IoatFixture.at(0) | 3n);
    expect(ioat.host.interrupts).toEqual(["2:0"]);
  });

  it("keeps the channel halted until cleared, then runs again without a reset", () => {
    const ioat = new IoatFixture();
    ioat.data.set([3]);
    ioat.describe(0, { source: nowhere });
    ioat.submit(IoatFixture.at(0), 1);
    ioat.describe(0, {});
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.status).toBe(ChannelStatus.halted);
    ioat.bar.write(Offset.CHANERR, 4, ChannelError.sourceAddress);
    expect(ioat.error).toBe(0);
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.status).toBe(ChannelStatus.done);
    expect(ioat.data[0x20_0000]).toBe(3);
  });

  it("survives channel reset and function level reset", () => {
    const ioat = new IoatFixture();
    ioat.describe(0, { size: 0 });
    ioat.submit(IoatFixture.at(0), 1);
    ioat.command(0x20);
    ioat.config.write(0x98, 2, 0x8000);
    expect(ioat.error).toBe(ChannelError.descriptorLength);
    expect(ioat.config.read(0x180, 4)).toBe(ChannelError.descriptorLength);
  });

  it("points to the first error until software clears CHANERR_INT", () => {
    const ioat = new IoatFixture();
    const fail = (fields: DescriptorFields): number => {
      ioat.bar.write(Offset.CHANERR, 4, 0xffff_ffff);
      ioat.describe(0, fields);
      ioat.submit(IoatFixture.at(0), 1);
      return 1 << ioat.config.read(0x18c, 1);
    };
    expect(fail({ size: 0 })).toBe(ChannelError.descriptorLength);
    expect(fail({ source: nowhere })).toBe(ChannelError.descriptorLength);
    expect(ioat.config.read(0x180, 4)).toBe(ChannelError.descriptorLength | ChannelError.sourceAddress);
    ioat.config.write(0x180, 4, 0xffff_ffff);
    expect(fail({ source: nowhere })).toBe(ChannelError.sourceAddress);
  });

  it("keeps the channel halted until software clears the error, or masks it", () => {
    const ioat = new IoatFixture();
    ioat.describe(0, { source: nowhere });
    ioat.submit(IoatFixture.at(0), 1);
    ioat.describe(1, { size: 1 });
    ioat.submit(IoatFixture.at(1), 1);
    expect(ioat.status).toBe(ChannelStatus.halted);
    ioat.bar.write(Offset.CHANERRMSK, 4, ChannelError.sourceAddress);
    ioat.submit(IoatFixture.at(1), 1);
    expect([ioat.status, ioat.error]).toEqual([ChannelStatus.done, ChannelError.sourceAddress]);
  });

  it("leaves out the descriptor of a masked error and goes on", () => {
    const ioat = new IoatFixture();
    ioat.bar.write(Offset.CHANERRMSK, 4, ChannelError.sourceAddress);
    ioat.data.set([8]);
    ioat.describe(0, { source: nowhere });
    ioat.describe(1, { size: 1 });
    ioat.submit(IoatFixture.at(0), 2);
    expect([ioat.status, ioat.error]).toEqual([ChannelStatus.done, 0]);
    expect(ioat.data[0x20_0000]).toBe(8);
  });
});
