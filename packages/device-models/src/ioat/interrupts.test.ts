import { PciIrq } from "@vfio-selftests/vfio-user";
import { IoatBench, Offset } from "../testing/ioat-bench";
import { Control } from "./descriptor";
import { Chanctrl } from "./registers";

const MSIX_VECTORS = 0x08;
const MASTER = 0x01;

function interrupting(options: ConstructorParameters<typeof IoatBench>[0] = {}): IoatBench {
  const bench = new IoatBench(options);
  bench.describe(0, { size: 8, control: Control.interrupt, next: IoatBench.at(0) });
  return bench;
}

describe("IOAT interrupts by MSI-X", () => {
  it("raises one, then none until re-armed", () => {
    const bench = interrupting();
    bench.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    bench.submit(IoatBench.at(0), 5);
    expect(bench.host.interrupts).toEqual(["2:0"]);
    expect(bench.bar.read(Offset.CHANCTRL, 2) & Chanctrl.interruptDisable).toBe(1);
    bench.bar.write(Offset.CHANCTRL, 2, Chanctrl.interruptDisable);
    bench.submit(IoatBench.at(0), 1);
    expect(bench.host.interrupts).toEqual(["2:0", "2:0"]);
  });

  it("raises none for a descriptor that does not ask", () => {
    const bench = new IoatBench();
    bench.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    bench.describe(0, {});
    bench.submit(IoatBench.at(0), 1);
    expect(bench.host.interrupts).toEqual([]);
  });

  it("waits for INTRDELAY microseconds", () => {
    let now = 0;
    const bench = interrupting({ now: () => now });
    bench.bar.write(Offset.INTRCTRL, 1, MSIX_VECTORS);
    bench.bar.write(Offset.INTRDELAY, 2, 100);
    bench.submit(IoatBench.at(0), 1);
    expect(bench.host.interrupts).toEqual([]);
    expect(bench.model.step()).toBe(true);
    now = 0.1;
    expect(bench.model.step()).toBe(false);
    expect(bench.host.interrupts).toEqual(["2:0"]);
  });
});

describe("IOAT's shared interrupt", () => {
  it("shows the channel in ATTNSTATUS and interrupts only while master enable is set", () => {
    const bench = interrupting();
    bench.submit(IoatBench.at(0), 1);
    expect(bench.host.interrupts).toEqual([]);
    expect(bench.bar.read(Offset.INTRCTRL, 1)).toBe(0x02);
    bench.bar.write(Offset.INTRCTRL, 1, MASTER);
    expect(bench.host.interrupts).toEqual(["2:0"]);
    expect(bench.bar.read(Offset.INTRCTRL, 1)).toBe(0x07);
    expect(bench.bar.read(Offset.ATTNSTATUS, 4)).toBe(1);
    expect(bench.bar.read(Offset.ATTNSTATUS, 4)).toBe(0);
  });

  it("uses INTx without MSI-X, unless the command register disables it", () => {
    for (const [command, expected] of [
      [0x6, ["0:0"]],
      [0x406, []],
    ] as const) {
      const bench = interrupting();
      bench.host.connected.clear();
      bench.host.connected.add(`${PciIrq.intx}:0`);
      bench.config.write(0x04, 2, command);
      bench.bar.write(Offset.INTRCTRL, 1, MASTER);
      bench.submit(IoatBench.at(0), 1);
      expect(bench.host.interrupts).toEqual(expected);
      expect(bench.config.read(0x06, 2) & 0x8).toBe(0x8);
    }
  });
});
