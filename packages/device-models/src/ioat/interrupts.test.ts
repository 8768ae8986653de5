import { PciIrq } from "@vfio-selftests/vfio-user";
import { IoatFixture, Offset } from "../testing/ioat-fixture";
import { Control } from "./channel/descriptor";
import { Chanctrl } from "./registers/bar0";

const MSIX_VECTORS = 0x08;
const MASTER = 0x01;

function interrupting(options: ConstructorParameters<typeof IoatFixture>[0] = {}): IoatFixture {
  const ioat = new IoatFixture(options);
  ioat.describe(0, { size: 8, control: Control.interrupt, next: IoatFixture.at(0) });
  return ioat;
}

describe("IOAT interrupts by MSI-X", () => {
  it("raises one, then none until re-armed", () => {
    const ioat = interrupting();
    ioat.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    ioat.submit(IoatFixture.at(0), 5);
    expect(ioat.host.interrupts).toEqual(["2:0"]);
    expect(ioat.bar.read(Offset.CHANCTRL, 2) & Chanctrl.interruptDisable).toBe(1);
    ioat.bar.write(Offset.CHANCTRL, 2, Chanctrl.interruptDisable);
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.host.interrupts).toEqual(["2:0", "2:0"]);
  });

  it("raises none for a descriptor that does not ask", () => {
    const ioat = new IoatFixture();
    ioat.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    ioat.describe(0, {});
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.host.interrupts).toEqual([]);
  });

  it("waits for INTRDELAY microseconds", () => {
    let now = 0;
    const ioat = interrupting({ now: () => now });
    ioat.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    ioat.bar.write(Offset.INTRDELAY, 2, 100);
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.host.interrupts).toEqual([]);
    expect(ioat.model.step()).toBe(true);
    now = 0.1;
    expect(ioat.model.step()).toBe(false);
    expect(ioat.host.interrupts).toEqual(["2:0"]);
  });
});

describe("INTRDELAY", () => {
  it("counts from the first of the interrupts that become one", () => {
    let now = 0;
    const ioat = interrupting({ now: () => now });
    ioat.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    ioat.bar.write(Offset.INTRDELAY, 2, 100);
    ioat.submit(IoatFixture.at(0), 1);
    now = 0.06;
    ioat.bar.write(Offset.CHANCTRL, 2, Chanctrl.interruptDisable);
    ioat.bar.write(Offset.CHAINADDR, 4, Number(IoatFixture.at(0)));
    ioat.bar.write(Offset.DMACOUNT, 2, 1);
    ioat.model.step();
    expect(ioat.host.interrupts).toEqual([]);
    now = 0.1;
    ioat.model.step();
    expect(ioat.host.interrupts).toEqual(["2:0"]);
    now = 1;
    ioat.model.step();
    expect(ioat.host.interrupts).toEqual(["2:0"]);
  });
});

describe("IOAT's shared interrupt", () => {
  it("shows the channel in ATTNSTATUS and interrupts only while master enable is set", () => {
    const ioat = interrupting();
    ioat.submit(IoatFixture.at(0), 1);
    expect(ioat.host.interrupts).toEqual([]);
    expect(ioat.bar.read(Offset.INTRCTRL, 1)).toBe(0x02);
    ioat.bar.write(Offset.INTRCTRL, 1, MASTER);
    expect(ioat.host.interrupts).toEqual(["2:0"]);
    expect(ioat.bar.read(Offset.INTRCTRL, 1)).toBe(0x07);
    expect(ioat.bar.read(Offset.ATTNSTATUS, 4)).toBe(1);
    expect(ioat.bar.read(Offset.ATTNSTATUS, 4)).toBe(0);
  });

  it("uses INTx without MSI-X, unless the command register disables it", () => {
    for (const [command, expected] of [
      [0x6, ["0:0"]],
      [0x406, []],
    ] as const) {
      const ioat = interrupting();
      ioat.host.connected.clear();
      ioat.host.connected.add(`${PciIrq.intx}:0`);
      ioat.config.write(0x04, 2, command);
      ioat.bar.write(Offset.INTRCTRL, 1, MASTER);
      ioat.submit(IoatFixture.at(0), 1);
      expect(ioat.host.interrupts).toEqual(expected);
      expect(ioat.config.read(0x06, 2) & 0x8).toBe(0x8);
    }
  });
});
