import { PciRegion } from "@vfio-selftests/vfio-user";
import { Command, DSA, Table } from "./registers/capabilities";
import { Opcode } from "../testing/opcodes";
import { Flag } from "./descriptors/flags";
import { DeviceState, WqMode } from "./registers/bar0";
import { CommandError } from "./commands/command-error";
import { SoftwareError } from "./error-log";
import { Status } from "./descriptors/status";
import { DEDICATED, DsaBench, DESTINATION, NOTIFY, RECORD, SOURCE, descriptorBytes } from "../testing/dsa-bench";

const MIB = 1024 * 1024;

/** A copy of `size` bytes from SOURCE to DESTINATION. */
const copy = (size: number) => ({ opcode: Opcode.memoryMove, source: SOURCE, destination: DESTINATION, size });

describe("capabilities", () => {
  it("are those of the first generation, without block on fault", () => {
    const bench = new DsaBench();
    expect(bench.read32(0x00)).toBe(0x100);
    const gencap = bench.read64(0x10);
    expect(Number((gencap >> 16n) & 0x1fn)).toBe(31);
    expect(Number((gencap >> 21n) & 0xfn)).toBe(10);
    expect(gencap & 1n).toBe(0n);
    expect(bench.read64(0x20) & 0xff_ffffn).toBe(0x08_0080n);
    expect(bench.read64(0x30) & 0xffffn).toBe(0x6004n);
    expect(bench.read64(0x38)).toBe(4n);
    expect(bench.read64(0x60)).toBe(0x0000_0004_0008_0006n);
  });

  it("name no interrupt handle command unless asked to", () => {
    expect(new DsaBench().read64(0xb0)).toBe(0x1ffen);
    expect(new DsaBench({ interruptHandles: true }).read64(0xb0)).toBe(0x7ffen);
  });

  it("cannot be written", () => {
    const bench = new DsaBench();
    for (const offset of [0x00, 0x10, 0x20, 0x30, 0x38, 0x40, 0x60, 0xb0]) {
      const before = bench.read64(offset);
      bench.write64(offset, ~before & 0xffff_ffff_ffff_ffffn);
      expect(bench.read64(offset)).toBe(before);
    }
  });

  it("say of every operation whether a descriptor with it is refused", () => {
    const bench = new DsaBench();
    bench.enable();
    const opcap = bench.read64(0x40);
    for (let opcode = 0; opcode < 0x30; opcode++) {
      const known = ((opcap >> BigInt(opcode)) & 1n) === 1n;
      const { status } = bench.execute({ opcode, flags: NOTIFY | Flag.blockOnFault });
      expect([opcode, status === Status.unsupportedOperation]).toEqual([opcode, !known]);
    }
  });
});

describe("Enable Device", () => {
  const cases: [name: string, error: number, wrong: (bench: DsaBench) => void][] = [
    ["bus mastering off", CommandError.busMasterDisabled, (b) => b.writeConfig(4, 2, 0x402)],
    ["queues larger than the storage", CommandError.workQueueSizes, (b) => b.write32(Table.workQueues, 129)],
    ["a group of queues only", CommandError.groupIncomplete, (b) => b.write64(Table.groups + 0x20, 0n)],
    ["a group of engines only", CommandError.groupIncomplete, (b) => b.write64(Table.groups + 64 + 0x20, 2n)],
    ["a queue beyond the last", CommandError.groupWorkQueues, (b) => b.write64(Table.groups, 0x101n)],
    ["a queue beyond the 64th", CommandError.groupWorkQueues, (b) => b.write64(Table.groups + 8, 1n)],
    ["a queue without storage in a group", CommandError.groupWorkQueues, (b) => b.write64(Table.groups, 3n)],
    ["a queue in no group", CommandError.groupWorkQueues, (b) => b.write32(Table.workQueues + 64, 8)],
    [
      "a queue in two groups",
      CommandError.groupWorkQueues,
      (b) => {
        b.write64(Table.groups + 64, 1n);
        b.write64(Table.groups + 64 + 0x20, 2n);
      },
    ],
    ["an engine beyond the last", CommandError.groupEngines, (b) => b.write64(Table.groups + 0x20, 0x11n)],
    [
      "an engine in two groups",
      CommandError.groupEngines,
      (b) => {
        b.write32(Table.workQueues + 64, 8);
        b.write64(Table.groups + 64, 2n);
        b.write64(Table.groups + 64 + 0x20, 1n);
      },
    ],
    ["too many read buffers reserved", CommandError.readBuffers, (b) => b.write64(Table.groups + 0x28, 0x0600_6100n)],
    ["too few read buffers allowed", CommandError.readBuffers, (b) => b.write64(Table.groups + 0x28, 3n << 20n)],
    [
      "more read buffers allowed than there are",
      CommandError.readBuffers,
      (b) => b.write64(Table.groups + 0x28, 97n << 20n),
    ],
    ["a global limit beyond the total", CommandError.readBuffers, (b) => b.write32(0x80, 97)],
    [
      "a global limit too small for the engines under it",
      CommandError.readBuffers,
      (b) => {
        b.write32(0x80, 3);
        b.write64(Table.groups + 0x28, (96n << 20n) | 0x80n);
      },
    ],
  ];

  it.each(cases)("refuses %s", (_, error, wrong) => {
    const bench = new DsaBench();
    bench.configure();
    wrong(bench);
    expect(bench.command(Command.enableDevice)).toBe(error);
    expect(bench.read32(0x90) & 3).toBe(DeviceState.disabled);
  });

  it("enables, once", () => {
    const bench = new DsaBench();
    bench.configure();
    expect(bench.command(Command.enableDevice)).toBe(CommandError.none);
    expect(bench.read32(0x90) & 3).toBe(DeviceState.enabled);
    expect(bench.command(Command.enableDevice)).toBe(CommandError.deviceNotDisabled);
  });

  it("locks the configuration", () => {
    const bench = new DsaBench();
    bench.enable();
    bench.write64(Table.groups, 0n);
    bench.write64(Table.groups + 0x20, 0n);
    bench.write32(Table.workQueues, 1);
    bench.write32(Table.workQueues + 8, 0);
    bench.write32(0x80, 0);
    expect(bench.read64(Table.groups)).toBe(1n);
    expect(bench.read64(Table.groups + 0x20)).toBe(1n);
    expect(bench.read32(Table.workQueues)).toBe(16);
    expect(bench.read32(Table.workQueues + 8)).toBe(DEDICATED);
    expect(bench.read32(0x80)).toBe(96);
  });
});

describe("Enable WQ", () => {
  const mode = Table.workQueues + 8;
  const cases: [name: string, error: number, wrong: (bench: DsaBench) => void][] = [
    ["priority 0", CommandError.workQueuePriority, (b) => b.write32(mode, 0x1)],
    [
      "block on fault, which is not there",
      CommandError.blockOnFault,
      (b) => b.write32(mode, DEDICATED | WqMode.blockOnFault),
    ],
    ["a shared queue without PASID", CommandError.pasidEnable, (b) => b.write32(mode, 0x10)],
    ["PASID that is not enabled", CommandError.pasidEnable, (b) => b.write32(mode, DEDICATED | WqMode.pasidEnable)],
    ["batches of 2^0", CommandError.maximumBatchSize, (b) => b.write32(Table.workQueues + 12, 31)],
    [
      "batches beyond the maximum",
      CommandError.maximumBatchSize,
      (b) => b.write32(Table.workQueues + 12, 31 | (11 << 5)),
    ],
    [
      "an occupancy interrupt beyond the table",
      CommandError.occupancyInterrupt,
      (b) => b.write32(Table.workQueues + 16, 9),
    ],
    [
      "an occupancy interrupt of the IMS",
      CommandError.occupancyInterrupt,
      (b) => b.write32(Table.workQueues + 16, 0x1_0000),
    ],
    [
      "operations that OPCAP lacks",
      CommandError.operationsConfiguration,
      (b) => b.write64(Table.workQueues + 32, 1n << 7n),
    ],
    ["operations beyond the 64th", CommandError.operationsConfiguration, (b) => b.write64(Table.workQueues + 40, 1n)],
    [
      "PRS control, which is not there",
      CommandError.pageRequestsDisable,
      (b) => b.write32(mode, DEDICATED | WqMode.pageRequestsDisable),
    ],
  ];

  it.each(cases)("refuses %s", (_, error, wrong) => {
    const bench = new DsaBench();
    bench.configure();
    wrong(bench);
    bench.command(Command.enableDevice);
    expect(bench.command(Command.enableWorkQueue, 0)).toBe(error);
    expect(bench.read32(Table.workQueues + 24) >>> 30).toBe(0);
  });

  it("refuses a queue of size 0, one that does not exist, and one enabled before", () => {
    const bench = new DsaBench();
    bench.enable();
    expect(bench.command(Command.enableWorkQueue, 1)).toBe(CommandError.workQueueSizeZero);
    expect(bench.command(Command.enableWorkQueue, 8)).toBe(CommandError.invalidWorkQueue);
    expect(bench.command(Command.enableWorkQueue, 0x100)).toBe(CommandError.nonZeroReserved);
    expect(bench.command(Command.enableWorkQueue, 0)).toBe(CommandError.workQueueNotDisabled);
  });

  it("wants an enabled device", () => {
    const bench = new DsaBench();
    bench.configure();
    expect(bench.command(Command.enableWorkQueue, 0)).toBe(CommandError.deviceNotEnabled);
  });

  it("refuses a privileged queue with PASID", () => {
    const bench = new DsaBench({ pasid: true });
    bench.writeConfig(0x166, 2, 1);
    bench.configure([{ mode: DEDICATED | WqMode.pasidEnable | WqMode.privileged }]);
    bench.command(Command.enableDevice);
    expect(bench.command(Command.enableWorkQueue, 0)).toBe(CommandError.privilege);
  });
});

describe("commands", () => {
  it("that do not exist are refused", () => {
    const bench = new DsaBench();
    for (const code of [0, 13, 14, 15, 31]) expect(bench.command(code)).toBe(CommandError.unsupportedCommand);
  });

  it("with reserved bits are refused", () => {
    const bench = new DsaBench();
    expect(bench.command(Command.enableDevice, 1)).toBe(CommandError.nonZeroReserved);
    bench.write32(0xa0, 0x0250_0000 | 0x4000_0000);
    bench.run();
    expect(bench.read32(0xa8)).toBe(CommandError.nonZeroReserved);
  });

  it("end with an interrupt when one is asked for", () => {
    const bench = new DsaBench();
    bench.write32(0xa0, 0x8050_0000);
    expect(bench.read32(0xa8)).toBe(0x8000_0000);
    bench.run();
    expect(bench.read32(0xa8)).toBe(0);
    expect(bench.interrupts).toEqual([0]);
    expect(bench.read32(0x98)).toBe(2);
    bench.write32(0x98, 2);
    expect(bench.read32(0x98)).toBe(0);
  });

  it("written while another is active are discarded and recorded", () => {
    const bench = new DsaBench();
    bench.write32(0x88, 1);
    bench.write32(0xa0, 0x0050_0000);
    bench.write32(0xa0, 0x0010_0000);
    expect(bench.softwareError()).toMatchObject({
      valid: true,
      overflow: false,
      error: SoftwareError.commandWhileActive,
    });
    expect(bench.interrupts).toEqual([0]);
    bench.write32(0xa0, 0x0010_0000);
    expect(bench.softwareError()).toMatchObject({ valid: true, overflow: true });
    expect(bench.interrupts).toEqual([0]);
    bench.run();
    expect(bench.read32(0xa8)).toBe(0);
    bench.write64(0xc0, 3n);
    expect(bench.softwareError()).toMatchObject({ valid: false, overflow: false });
  });

  it("on queues that are not enabled are refused, except reset", () => {
    const bench = new DsaBench();
    bench.enable();
    for (const code of [Command.disableWorkQueue, Command.drainWorkQueue, Command.abortWorkQueue]) {
      expect(bench.command(code, 0b11)).toBe(CommandError.workQueueNotEnabled);
      expect(bench.command(code, 0x1_0001)).toBe(CommandError.invalidWorkQueue);
      expect(bench.command(code, 0x100)).toBe(CommandError.invalidWorkQueue);
    }
    expect(bench.command(Command.resetWorkQueue, 0b11)).toBe(CommandError.none);
    expect(bench.read32(Table.workQueues + 24) >>> 30).toBe(0);
    expect(bench.read32(Table.workQueues + 8)).toBe(0);
    expect(bench.read32(Table.workQueues)).toBe(16);
  });

  it("disable what is enabled, and nothing else", () => {
    const bench = new DsaBench();
    expect(bench.command(Command.disableDevice)).toBe(CommandError.disableOfDisabledDevice);
    bench.enable();
    expect(bench.command(Command.disableWorkQueue, 1)).toBe(CommandError.none);
    expect(bench.command(Command.enableWorkQueue, 0)).toBe(CommandError.none);
    expect(bench.command(Command.disableDevice)).toBe(CommandError.none);
    expect(bench.read32(0x90)).toBe(0);
    expect(bench.read32(Table.workQueues + 24) >>> 30).toBe(0);
    expect(bench.command(Command.enableDevice)).toBe(CommandError.none);
  });

  it.each([
    ["Drain WQ", Command.drainWorkQueue, 1],
    ["Drain All", Command.drainAll, 0],
    ["Disable WQ", Command.disableWorkQueue, 1],
    ["Disable Device", Command.disableDevice, 0],
  ])("%s waits for a long copy and answers reads meanwhile", (_, code, operand) => {
    const bench = new DsaBench();
    bench.memory.map(0x1_0000_0000n, 64 * MIB);
    bench.enable();
    bench.submit({
      ...copy(64 * MIB),
      source: 0x1_0000_0000n,
      destination: 0x1_0000_0000n,
      completion: RECORD,
      flags: NOTIFY,
    });
    bench.model.step();
    bench.write32(0xa0, (code << 20) | operand);
    for (let i = 0; i < 10; i++) bench.model.step();
    expect(bench.read32(0xa8)).toBe(0x8000_0000);
    expect(bench.record().status).toBe(0);
    if (code === Command.disableDevice) expect(bench.read32(0x90) & 3).toBe(DeviceState.draining);
    bench.run();
    expect(bench.read32(0xa8)).toBe(0);
    expect(bench.record().status).toBe(Status.success);
  });

  it.each([
    ["Abort WQ", Command.abortWorkQueue, 1],
    ["Abort All", Command.abortAll, 0],
    ["Reset WQ", Command.resetWorkQueue, 1],
    ["Reset Device", Command.resetDevice, 0],
  ])("%s ends a long copy at once, without a completion", (_, code, operand) => {
    const bench = new DsaBench();
    bench.memory.map(0x1_0000_0000n, 64 * MIB);
    bench.enable();
    for (let i = 0; i < 3; i++) {
      bench.submit({
        ...copy(64 * MIB),
        source: 0x1_0000_0000n,
        destination: 0x1_0000_0000n,
        completion: RECORD,
        flags: NOTIFY,
      });
    }
    bench.model.step();
    bench.write32(0xa0, (code << 20) | operand);
    expect(bench.model.step()).toBe(false);
    expect(bench.read32(0xa8)).toBe(0);
    expect(bench.record().status).toBe(0);
    expect(bench.read32(Table.workQueues + 24) & 0xffff).toBe(0);
  });

  it("Reset Device clears the configuration but keeps errors and the MSI-X table", () => {
    const bench = new DsaBench();
    bench.enable();
    bench.write64(Table.msix + 16, 0xfee0_0000n);
    bench.write32(0x88, 3);
    bench.write32(Table.msixPermissions + 8, 4);
    bench.submit({ opcode: Opcode.memoryMove });
    bench.run();
    expect(bench.softwareError().valid).toBe(true);
    expect(bench.command(Command.resetDevice)).toBe(0);
    expect(bench.softwareError().valid).toBe(true);
    expect(bench.read64(Table.msix + 16)).toBe(0xfee0_0000n);
    expect(
      [0x88, 0x90, 0x98, Table.groups, Table.workQueues, Table.msixPermissions + 8].map((o) => bench.read32(o)),
    ).toEqual([0, 0, 0, 0, 0, 0]);
    expect(bench.read64(Table.groups + 0x28)).toBe(96n << 20n);
    expect(bench.read64(Table.workQueues + 32)).toBe(bench.read64(0x40));
  });
});

describe("interrupt handles", () => {
  it("are given, checked and released", () => {
    const bench = new DsaBench({ interruptHandles: true });
    bench.enable();
    expect(bench.command(Command.requestInterruptHandle, 9)).toBe(CommandError.invalidInterruptIndex);
    expect(bench.command(Command.requestInterruptHandle, 0x1_0001)).toBe(CommandError.invalidInterruptIndex);
    expect(bench.command(Command.requestInterruptHandle, 0x2_0001)).toBe(CommandError.nonZeroReserved);
    expect(bench.command(Command.requestInterruptHandle, 3)).toBe(CommandError.none);
    const handle = (bench.read32(0xa8) >>> 8) & 0xffff;
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    expect(bench.execute({ flags, handle: 3 }).status).toBe(Status.invalidInterruptHandle);
    expect(bench.execute({ flags, handle }).status).toBe(Status.success);
    expect(bench.interrupts).toEqual([3]);
    expect(bench.command(Command.releaseInterruptHandle, 3)).toBe(CommandError.none);
    expect(bench.command(Command.releaseInterruptHandle, 3)).toBe(CommandError.invalidInterruptIndex);
    expect(bench.execute({ flags, handle }).status).toBe(Status.invalidInterruptHandle);
  });
});

describe("resets and PCI configuration", () => {
  it("halts when bus mastering is taken away, until a function level reset", () => {
    const bench = new DsaBench();
    bench.enable();
    bench.write32(0x88, 2);
    bench.submit({ ...copy(64), completion: RECORD, flags: NOTIFY });
    bench.writeConfig(4, 2, 0x402);
    expect(bench.read32(0x90)).toBe(DeviceState.halted | (1 << 2));
    expect(bench.softwareError()).toMatchObject({ valid: true, error: SoftwareError.pciConfigurationChanged });
    expect(bench.interrupts).toEqual([0]);
    expect(bench.read32(0x98)).toBe(0x10);
    bench.run();
    expect(bench.record().status).toBe(0);
    expect(bench.command(Command.resetDevice)).toBe(CommandError.deviceHalted);
    bench.writeConfig(0x48, 2, 0x8000);
    expect(bench.read32(0x90)).toBe(0);
    expect(bench.softwareError().valid).toBe(false);
    bench.enable();
    expect(bench.execute(copy(64)).status).toBe(Status.success);
  });

  it("loses nothing of config space in a VFIO reset", () => {
    const bench = new DsaBench();
    bench.enable();
    bench.model.reset();
    expect(bench.model.config.read(4, 2)).toBe(0x406);
    expect(bench.read32(0x90)).toBe(0);
    expect(bench.read32(Table.workQueues)).toBe(0);
  });

  it("drops work when the client goes, and serves the next one", () => {
    const bench = new DsaBench();
    bench.enable();
    bench.submit({ ...copy(MIB), completion: RECORD, flags: NOTIFY });
    bench.model.clientGone();
    bench.run();
    expect(bench.record().status).toBe(0);
    expect(bench.execute(copy(64)).status).toBe(Status.success);
  });

  it.each([
    ["reset", (bench: DsaBench) => bench.model.reset()],
    ["the client's end", (bench: DsaBench) => bench.model.clientGone()],
  ])("leaves everything alone after %s during an access by message", (_, happens) => {
    const bench = new DsaBench();
    bench.memory.map(0x1_0000_0000n, MIB, { shared: false });
    bench.enable();
    bench.submit({ ...copy(MIB), source: 0x1_0000_0000n, completion: RECORD, flags: NOTIFY });
    bench.memory.duringAccess = () => {
      happens(bench);
      bench.memory.failure = "aborted";
    };
    bench.run();
    expect(bench.record().status).toBe(0);
    expect(bench.softwareError().valid).toBe(false);
    expect(bench.memory.faults).toEqual([]);
    bench.memory.duringAccess = undefined;
    bench.memory.failure = undefined;
    bench.command(Command.resetDevice);
    bench.enable();
    expect(bench.execute({ ...copy(MIB), source: 0x1_0000_0000n }).status).toBe(Status.success);
  });
});

describe("config space", () => {
  it("identifies the device and offers no ATS or PASID unless asked to", () => {
    const bench = new DsaBench();
    expect(bench.model.config.read(0, 4)).toBe(0x0b25_8086);
    expect(bench.model.config.read(0x82, 2)).toBe(DSA.msixVectors - 1);
    expect(bench.model.config.read(0x100, 4) >>> 20).toBe(0);
    const both = new DsaBench({ ats: true, pasid: true }).model.config;
    expect(both.read(0x100, 4) >>> 20).toBe(0x150);
    expect(both.read(0x150, 4)).toBe(0x1601_000f);
    expect(both.read(0x160, 4)).toBe(0x0001_001b);
  });
});

describe("portals", () => {
  const noop = descriptorBytes({ opcode: Opcode.noop, completion: RECORD, flags: NOTIFY });
  const store = (bench: DsaBench, offset: number, from: number, to: number) => {
    const view = new DataView(noop.buffer);
    for (let i = from; i < to; i += 8) bench.model.portals.write64(offset + i, view.getBigUint64(i, true));
  };

  it.each([0x0, 0x40, 0xfc0, 0x1000])("take a descriptor as eight 8-byte stores at offset %i", (offset) => {
    const bench = new DsaBench();
    bench.enable();
    store(bench, offset, 0, 56);
    bench.run();
    expect(bench.record().status).toBe(0);
    store(bench, offset, 56, 64);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
  });

  it("collect two slots of a page apart", () => {
    const bench = new DsaBench();
    bench.enable();
    store(bench, 0, 0, 32);
    store(bench, 64, 0, 64);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
    bench.at(RECORD, 32).fill(0);
    store(bench, 0, 32, 64);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
  });

  it("forget a descriptor whose stores come out of order, and start anew at its beginning", () => {
    const bench = new DsaBench();
    bench.enable();
    store(bench, 0, 0, 24);
    store(bench, 0, 32, 64);
    bench.run();
    expect(bench.record().status).toBe(0);
    store(bench, 0, 0, 40);
    store(bench, 0, 0, 64);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
  });

  it("ignore narrower stores and read as ones", () => {
    const bench = new DsaBench();
    bench.enable();
    store(bench, 0, 0, 56);
    const region = bench.model.regions.get(PciRegion.bar2);
    region?.write(56, 4, 0);
    store(bench, 0, 56, 64);
    bench.run();
    expect(bench.record().status).toBe(0);
    expect(region?.read(0, 4)).toBe(0xffff_ffff);
    expect(region?.read64?.(8)).toBe(0xffff_ffff_ffff_ffffn);
  });

  it.each([
    ["of the IMS", 0x2000],
    ["of a queue that is not enabled", 0x4000],
  ])("%s ignore what is written", (_, offset) => {
    const bench = new DsaBench();
    bench.enable();
    bench.model.portals.write64Bytes(offset, noop);
    bench.run();
    expect(bench.record().status).toBe(0);
    expect(bench.softwareError().valid).toBe(false);
    expect(bench.model.portals.enqueue(offset, noop)).toBe("retry");
  });

  it("of a full dedicated queue record the loss", () => {
    const bench = new DsaBench();
    bench.enable([{ size: 2 }]);
    for (let i = 0; i < 3; i++) bench.submit({ opcode: Opcode.noop });
    expect(bench.read32(Table.workQueues + 24) & 0xffff).toBe(2);
    expect(bench.softwareError()).toMatchObject({
      valid: true,
      error: SoftwareError.workQueueFull,
      workQueueValid: true,
      workQueue: 0,
      descriptorValid: false,
    });
    bench.run();
    expect(bench.read32(Table.workQueues + 24) & 0xffff).toBe(0);
  });

  it("answer ENQCMD to a dedicated queue with retry", () => {
    const bench = new DsaBench();
    bench.enable();
    expect(bench.model.portals.enqueue(0, noop)).toBe("retry");
  });
});

describe("a shared work queue", () => {
  const SHARED = 0x10 | WqMode.pasidEnable;
  const shared = (setup = { size: 4, threshold: 2, mode: SHARED }) => {
    const bench = new DsaBench({ pasid: true });
    bench.writeConfig(0x166, 2, 1);
    bench.enable([setup]);
    return bench;
  };
  const noop = (pasid: number, more = {}) =>
    descriptorBytes({ opcode: Opcode.noop, completion: RECORD, flags: NOTIFY, pasid, ...more });

  it("takes ENQCMD up to its threshold by the limited portal and up to its size by the unlimited one", () => {
    const bench = shared();
    const enqueue = (offset: number) => bench.model.portals.enqueue(offset, noop(5));
    expect([enqueue(0x1000), enqueue(0x1000), enqueue(0x1000)]).toEqual(["success", "success", "retry"]);
    expect([enqueue(0), enqueue(0), enqueue(0)]).toEqual(["success", "success", "retry"]);
    expect(bench.softwareError().valid).toBe(false);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
  });

  it("ignores posted stores", () => {
    const bench = shared();
    bench.submit(noop(5));
    bench.run();
    expect(bench.record().status).toBe(0);
  });

  it("refuses privileged descriptors and reserved trusted bits", () => {
    const bench = shared();
    bench.model.portals.enqueue(0, noop(5, { privileged: true }));
    bench.run();
    expect(bench.record().status).toBe(Status.privilege);
    const reserved = noop(5);
    reserved[2] = 0x10;
    bench.model.portals.enqueue(0, reserved);
    bench.run();
    expect(bench.record().status).toBe(Status.nonZeroReserved);
  });

  it("lets a PASID be aborted and drained alone", () => {
    const bench = shared();
    bench.memory.map(0x1_0000_0000n, 64 * MIB);
    const long = { ...copy(64 * MIB), source: 0x1_0000_0000n, destination: 0x1_0000_0000n, flags: NOTIFY };
    bench.model.portals.enqueue(0, descriptorBytes({ ...long, pasid: 5, completion: RECORD }));
    bench.model.portals.enqueue(0, descriptorBytes({ ...long, pasid: 6, completion: RECORD + 32n }));
    bench.model.step();
    bench.write32(0xa0, (Command.abortPasid << 20) | 5);
    bench.model.step();
    expect(bench.read32(0xa8)).toBe(0);
    bench.write32(0xa0, (Command.drainPasid << 20) | 6);
    bench.model.step();
    expect(bench.read32(0xa8)).toBe(0x8000_0000);
    bench.run();
    expect(bench.read32(0xa8)).toBe(0);
    expect([bench.record().status, bench.record(RECORD + 32n).status]).toEqual([0, Status.success]);
  });

  it("matches interrupts by PASID", () => {
    const bench = shared();
    bench.write32(0x80, 0x1060);
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    const status = () => {
      bench.model.portals.enqueue(0, noop(5, { flags, handle: 2 }));
      bench.run();
      return bench.record().status;
    };
    expect(status()).toBe(Status.invalidFlags);
    bench.command(Command.disableDevice);
    bench.write32(0x80, 0x1060);
    bench.command(Command.enableDevice);
    bench.command(Command.enableWorkQueue, 0);
    expect(status()).toBe(Status.invalidInterruptHandle);
    bench.write32(Table.msixPermissions + 16, (6 << 12) | 8);
    expect(status()).toBe(Status.invalidInterruptHandle);
    bench.write32(Table.msixPermissions + 16, (5 << 12) | 8);
    expect(status()).toBe(Status.success);
    expect(bench.interrupts).toEqual([2]);
  });
});

describe("work queues and engines", () => {
  it("dispatch by priority within a group", () => {
    const bench = new DsaBench();
    bench.enable(
      [
        { size: 64, mode: 0x31 },
        { size: 64, mode: 0x11 },
      ],
      [[3n, 1n]],
    );
    for (let i = 0; i < 12; i++) {
      for (const queue of [0, 1]) bench.submit({ flags: Flag.requestCompletionInterrupt, handle: queue + 1 }, queue);
    }
    bench.run();
    expect(bench.interrupts.slice(0, 8).filter((vector) => vector === 1)).toHaveLength(6);
    expect(bench.interrupts).toHaveLength(24);
  });

  it("run one queue's descriptors in order on one engine", () => {
    const bench = new DsaBench();
    bench.enable([{ size: 16 }]);
    for (let i = 1; i <= 8; i++) bench.submit({ flags: Flag.requestCompletionInterrupt, handle: i });
    bench.run();
    expect(bench.interrupts).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("keep a Drain descriptor waiting for what other engines do for its queue", () => {
    const bench = new DsaBench();
    bench.memory.map(0x1_0000_0000n, 32 * MIB);
    bench.enable([{ size: 16 }], [[1n, 0xfn]]);
    const long = { ...copy(32 * MIB), source: 0x1_0000_0000n, destination: 0x1_0000_0000n };
    bench.submit({ ...long, flags: Flag.requestCompletionInterrupt, handle: 1 });
    bench.submit({ opcode: Opcode.drain, flags: Flag.requestCompletionInterrupt, handle: 2 });
    bench.submit({ opcode: Opcode.noop, flags: Flag.requestCompletionInterrupt, handle: 3 });
    bench.run();
    expect(bench.interrupts.indexOf(2)).toBeGreaterThan(bench.interrupts.indexOf(1));
    expect(bench.interrupts).toHaveLength(3);
  });

  it("let a second group work during a long copy of the first", () => {
    const bench = new DsaBench();
    bench.memory.map(0x1_0000_0000n, 64 * MIB);
    bench.enable(
      [{ size: 8 }, { size: 8 }],
      [
        [1n, 1n],
        [2n, 2n],
      ],
    );
    bench.submit({
      ...copy(64 * MIB),
      source: 0x1_0000_0000n,
      destination: 0x1_0000_0000n,
      completion: RECORD,
      flags: NOTIFY,
    });
    bench.model.step();
    bench.submit({ opcode: Opcode.noop, completion: RECORD + 32n, flags: NOTIFY }, 1);
    bench.model.step();
    bench.model.step();
    expect(bench.record(RECORD + 32n).status).toBe(Status.success);
    expect(bench.record().status).toBe(0);
    bench.run();
    expect(bench.record().status).toBe(Status.success);
  });

  it("raise the occupancy interrupt once per acknowledgement", () => {
    const bench = new DsaBench();
    bench.configure([{ size: 16 }]);
    bench.write32(Table.workQueues + 16, 4);
    bench.command(Command.enableDevice);
    bench.command(Command.enableWorkQueue, 0);
    for (let i = 0; i < 4; i++) bench.submit({ opcode: Opcode.noop });
    bench.write32(Table.workQueues + 20, 0x1_0001);
    expect(bench.interrupts).toEqual([]);
    bench.write32(Table.workQueues + 20, 0x1_0005);
    expect(bench.read32(Table.workQueues + 20)).toBe(0x1_0001);
    bench.run();
    expect(bench.interrupts).toEqual([4]);
    expect(bench.read32(Table.workQueues + 24)).toBe(0x4001_0000);
    bench.write32(Table.workQueues + 24, 0x1_0000);
    expect(bench.interrupts).toEqual([4, 4]);
  });
});
