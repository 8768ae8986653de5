import { PciRegion } from "@vfio-selftests/vfio-user";
import { DEDICATED, descriptorBytes, DESTINATION, DsaFixture, NOTIFY, RECORD, SOURCE } from "../testing/dsa-fixture";
import { Opcode } from "../testing/opcodes";
import { CommandError } from "./commands/command-error";
import { Flag } from "./descriptors/flags";
import { Status } from "./descriptors/status";
import { SoftwareError } from "./error-log";
import { DeviceState, WqMode } from "./registers/bar0";
import { Command, DSA, Table } from "./registers/capabilities";

const MIB = 1024 * 1024;

/** A copy of `size` bytes from SOURCE to DESTINATION. */
const copy = (size: number) => ({ opcode: Opcode.memoryMove, source: SOURCE, destination: DESTINATION, size });

describe("capabilities", () => {
  it("are those of the first generation, without block on fault", () => {
    const dsa = new DsaFixture();
    expect(dsa.read32(0x00)).toBe(0x100);
    const gencap = dsa.read64(0x10);
    expect(Number((gencap >> 16n) & 0x1fn)).toBe(31);
    expect(Number((gencap >> 21n) & 0xfn)).toBe(10);
    expect(gencap & 1n).toBe(0n);
    expect(dsa.read64(0x20) & 0xff_ffffn).toBe(0x08_0080n);
    expect(dsa.read64(0x30) & 0xffffn).toBe(0x6004n);
    expect(dsa.read64(0x38)).toBe(4n);
    expect(dsa.read64(0x60)).toBe(0x0000_0004_0008_0006n);
  });

  it("name no interrupt handle command unless asked to", () => {
    expect(new DsaFixture().read64(0xb0)).toBe(0x1ffen);
    expect(new DsaFixture({ interruptHandles: true }).read64(0xb0)).toBe(0x7ffen);
  });

  it("cannot be written", () => {
    const dsa = new DsaFixture();
    for (const offset of [0x00, 0x10, 0x20, 0x30, 0x38, 0x40, 0x60, 0xb0]) {
      const before = dsa.read64(offset);
      dsa.write64(offset, ~before & 0xffff_ffff_ffff_ffffn);
      expect(dsa.read64(offset)).toBe(before);
    }
  });

  it("say of every operation whether a descriptor with it is refused", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    const opcap = dsa.read64(0x40);
    for (let opcode = 0; opcode < 0x30; opcode++) {
      const known = ((opcap >> BigInt(opcode)) & 1n) === 1n;
      const { status } = dsa.execute({ opcode, flags: NOTIFY | Flag.blockOnFault });
      expect([opcode, status === Status.unsupportedOperation]).toEqual([opcode, !known]);
    }
  });
});

describe("a step", () => {
  /** Steps that 64 MiB take when each look at the clock finds it `ms` later. */
  const stepsAt = (ms: number): number => {
    let time = 0;
    const dsa = new DsaFixture({ now: () => (time += ms) });
    dsa.memory.map(0x1_0000_0000n, 64 * MIB);
    dsa.enable();
    dsa.submit({
      ...copy(64 * MIB),
      source: 0x1_0000_0000n,
      destination: 0x1_0000_0000n,
      completion: RECORD,
      flags: NOTIFY,
    });
    const steps = dsa.run();
    expect(dsa.record().status).toBe(Status.success);
    return steps;
  };

  it("works for 0.1 ms, and on a MiB at least", () => {
    // A piece of a MiB, and a look at the clock after each: 4 in 0.1 ms.
    expect(stepsAt(0.03)).toBe(16);
    expect(stepsAt(1)).toBe(64);
  });
});

describe("Enable Device", () => {
  const cases: [name: string, error: number, wrong: (dsa: DsaFixture) => void][] = [
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
    const dsa = new DsaFixture();
    dsa.configure();
    wrong(dsa);
    expect(dsa.command(Command.enableDevice)).toBe(error);
    expect(dsa.read32(0x90) & 3).toBe(DeviceState.disabled);
  });

  it("enables, once", () => {
    const dsa = new DsaFixture();
    dsa.configure();
    expect(dsa.command(Command.enableDevice)).toBe(CommandError.none);
    expect(dsa.read32(0x90) & 3).toBe(DeviceState.enabled);
    expect(dsa.command(Command.enableDevice)).toBe(CommandError.deviceNotDisabled);
  });

  it("locks the configuration", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.write64(Table.groups, 0n);
    dsa.write64(Table.groups + 0x20, 0n);
    dsa.write32(Table.workQueues, 1);
    dsa.write32(Table.workQueues + 8, 0);
    dsa.write32(0x80, 0);
    expect(dsa.read64(Table.groups)).toBe(1n);
    expect(dsa.read64(Table.groups + 0x20)).toBe(1n);
    expect(dsa.read32(Table.workQueues)).toBe(16);
    expect(dsa.read32(Table.workQueues + 8)).toBe(DEDICATED);
    expect(dsa.read32(0x80)).toBe(96);
  });
});

describe("Enable WQ", () => {
  const mode = Table.workQueues + 8;
  const cases: [name: string, error: number, wrong: (dsa: DsaFixture) => void][] = [
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
    const dsa = new DsaFixture();
    dsa.configure();
    wrong(dsa);
    dsa.command(Command.enableDevice);
    expect(dsa.command(Command.enableWorkQueue, 0)).toBe(error);
    expect(dsa.read32(Table.workQueues + 24) >>> 30).toBe(0);
  });

  it("refuses a queue of size 0, one that does not exist, and one enabled before", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    expect(dsa.command(Command.enableWorkQueue, 1)).toBe(CommandError.workQueueSizeZero);
    expect(dsa.command(Command.enableWorkQueue, 8)).toBe(CommandError.invalidWorkQueue);
    expect(dsa.command(Command.enableWorkQueue, 0x100)).toBe(CommandError.nonZeroReserved);
    expect(dsa.command(Command.enableWorkQueue, 0)).toBe(CommandError.workQueueNotDisabled);
  });

  it("wants an enabled device", () => {
    const dsa = new DsaFixture();
    dsa.configure();
    expect(dsa.command(Command.enableWorkQueue, 0)).toBe(CommandError.deviceNotEnabled);
  });

  it("refuses a privileged queue with PASID", () => {
    const dsa = new DsaFixture({ pasid: true });
    dsa.writeConfig(0x166, 2, 1);
    dsa.configure([{ mode: DEDICATED | WqMode.pasidEnable | WqMode.privileged }]);
    dsa.command(Command.enableDevice);
    expect(dsa.command(Command.enableWorkQueue, 0)).toBe(CommandError.privilege);
  });
});

describe("commands", () => {
  it("that do not exist are refused", () => {
    const dsa = new DsaFixture();
    for (const code of [0, 13, 14, 15, 31]) expect(dsa.command(code)).toBe(CommandError.unsupportedCommand);
  });

  it("with reserved bits are refused", () => {
    const dsa = new DsaFixture();
    expect(dsa.command(Command.enableDevice, 1)).toBe(CommandError.nonZeroReserved);
    dsa.write32(0xa0, 0x0250_0000 | 0x4000_0000);
    dsa.run();
    expect(dsa.read32(0xa8)).toBe(CommandError.nonZeroReserved);
  });

  it("end with an interrupt when one is asked for", () => {
    const dsa = new DsaFixture();
    dsa.write32(0xa0, 0x8050_0000);
    expect(dsa.read32(0xa8)).toBe(0x8000_0000);
    dsa.run();
    expect(dsa.read32(0xa8)).toBe(0);
    expect(dsa.interrupts).toEqual([0]);
    expect(dsa.read32(0x98)).toBe(2);
    dsa.write32(0x98, 2);
    expect(dsa.read32(0x98)).toBe(0);
  });

  it("written while another is active are discarded and recorded", () => {
    const dsa = new DsaFixture();
    dsa.write32(0x88, 1);
    dsa.write32(0xa0, 0x0050_0000);
    dsa.write32(0xa0, 0x0010_0000);
    expect(dsa.softwareError()).toMatchObject({
      valid: true,
      overflow: false,
      error: SoftwareError.commandWhileActive,
    });
    expect(dsa.interrupts).toEqual([0]);
    dsa.write32(0xa0, 0x0010_0000);
    expect(dsa.softwareError()).toMatchObject({ valid: true, overflow: true });
    expect(dsa.interrupts).toEqual([0]);
    dsa.run();
    expect(dsa.read32(0xa8)).toBe(0);
    dsa.write64(0xc0, 3n);
    expect(dsa.softwareError()).toMatchObject({ valid: false, overflow: false });
  });

  it("on queues that are not enabled are refused, except reset", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    for (const code of [Command.disableWorkQueue, Command.drainWorkQueue, Command.abortWorkQueue]) {
      expect(dsa.command(code, 0b11)).toBe(CommandError.workQueueNotEnabled);
      expect(dsa.command(code, 0x1_0001)).toBe(CommandError.invalidWorkQueue);
      expect(dsa.command(code, 0x100)).toBe(CommandError.invalidWorkQueue);
    }
    expect(dsa.command(Command.resetWorkQueue, 0b11)).toBe(CommandError.none);
    expect(dsa.read32(Table.workQueues + 24) >>> 30).toBe(0);
    expect(dsa.read32(Table.workQueues + 8)).toBe(0);
    expect(dsa.read32(Table.workQueues)).toBe(16);
  });

  it("disable what is enabled, and nothing else", () => {
    const dsa = new DsaFixture();
    expect(dsa.command(Command.disableDevice)).toBe(CommandError.disableOfDisabledDevice);
    dsa.enable();
    expect(dsa.command(Command.disableWorkQueue, 1)).toBe(CommandError.none);
    expect(dsa.command(Command.enableWorkQueue, 0)).toBe(CommandError.none);
    expect(dsa.command(Command.disableDevice)).toBe(CommandError.none);
    expect(dsa.read32(0x90)).toBe(0);
    expect(dsa.read32(Table.workQueues + 24) >>> 30).toBe(0);
    expect(dsa.command(Command.enableDevice)).toBe(CommandError.none);
  });

  it.each([
    ["Drain WQ", Command.drainWorkQueue, 1],
    ["Drain All", Command.drainAll, 0],
    ["Disable WQ", Command.disableWorkQueue, 1],
    ["Disable Device", Command.disableDevice, 0],
  ])("%s waits for a long copy and answers reads meanwhile", (_, code, operand) => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, 64 * MIB);
    dsa.enable();
    dsa.submit({
      ...copy(64 * MIB),
      source: 0x1_0000_0000n,
      destination: 0x1_0000_0000n,
      completion: RECORD,
      flags: NOTIFY,
    });
    dsa.model.step();
    dsa.write32(0xa0, (code << 20) | operand);
    for (let i = 0; i < 10; i++) dsa.model.step();
    expect(dsa.read32(0xa8)).toBe(0x8000_0000);
    expect(dsa.record().status).toBe(0);
    if (code === Command.disableDevice) expect(dsa.read32(0x90) & 3).toBe(DeviceState.draining);
    dsa.run();
    expect(dsa.read32(0xa8)).toBe(0);
    expect(dsa.record().status).toBe(Status.success);
  });

  it.each([
    ["Abort WQ", Command.abortWorkQueue, 1],
    ["Abort All", Command.abortAll, 0],
    ["Reset WQ", Command.resetWorkQueue, 1],
    ["Reset Device", Command.resetDevice, 0],
  ])("%s ends a long copy at once, without a completion", (_, code, operand) => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, 64 * MIB);
    dsa.enable();
    for (let i = 0; i < 3; i++) {
      dsa.submit({
        ...copy(64 * MIB),
        source: 0x1_0000_0000n,
        destination: 0x1_0000_0000n,
        completion: RECORD,
        flags: NOTIFY,
      });
    }
    dsa.model.step();
    dsa.write32(0xa0, (code << 20) | operand);
    expect(dsa.model.step()).toBe(false);
    expect(dsa.read32(0xa8)).toBe(0);
    expect(dsa.record().status).toBe(0);
    expect(dsa.read32(Table.workQueues + 24) & 0xffff).toBe(0);
  });

  it("Reset Device clears the configuration but keeps errors and the MSI-X table", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.write64(Table.msix + 16, 0xfee0_0000n);
    dsa.write32(0x88, 3);
    dsa.write32(Table.msixPermissions + 8, 4);
    dsa.submit({ opcode: Opcode.memoryMove });
    dsa.run();
    expect(dsa.softwareError().valid).toBe(true);
    expect(dsa.command(Command.resetDevice)).toBe(0);
    expect(dsa.softwareError().valid).toBe(true);
    expect(dsa.read64(Table.msix + 16)).toBe(0xfee0_0000n);
    expect(
      [0x88, 0x90, 0x98, Table.groups, Table.workQueues, Table.msixPermissions + 8].map((o) => dsa.read32(o)),
    ).toEqual([0, 0, 0, 0, 0, 0]);
    expect(dsa.read64(Table.groups + 0x28)).toBe(96n << 20n);
    expect(dsa.read64(Table.workQueues + 32)).toBe(dsa.read64(0x40));
  });
});

describe("interrupt handles", () => {
  it("are given, checked and released", () => {
    const dsa = new DsaFixture({ interruptHandles: true });
    dsa.enable();
    expect(dsa.command(Command.requestInterruptHandle, 9)).toBe(CommandError.invalidInterruptIndex);
    expect(dsa.command(Command.requestInterruptHandle, 0x1_0001)).toBe(CommandError.invalidInterruptIndex);
    expect(dsa.command(Command.requestInterruptHandle, 0x2_0001)).toBe(CommandError.nonZeroReserved);
    expect(dsa.command(Command.requestInterruptHandle, 3)).toBe(CommandError.none);
    const handle = (dsa.read32(0xa8) >>> 8) & 0xffff;
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    expect(dsa.execute({ flags, handle: 3 }).status).toBe(Status.invalidInterruptHandle);
    expect(dsa.execute({ flags, handle }).status).toBe(Status.success);
    expect(dsa.interrupts).toEqual([3]);
    expect(dsa.command(Command.releaseInterruptHandle, 3)).toBe(CommandError.none);
    expect(dsa.command(Command.releaseInterruptHandle, 3)).toBe(CommandError.invalidInterruptIndex);
    expect(dsa.execute({ flags, handle }).status).toBe(Status.invalidInterruptHandle);
  });
});

describe("resets and PCI configuration", () => {
  it("Reset Device forgets interrupt handles", () => {
    const dsa = new DsaFixture({ interruptHandles: true });
    dsa.enable();
    dsa.command(Command.requestInterruptHandle, 3);
    const handle = (dsa.read32(0xa8) >>> 8) & 0xffff;
    const fields = { flags: NOTIFY | Flag.requestCompletionInterrupt, handle };
    expect(dsa.execute(fields).status).toBe(Status.success);
    dsa.command(Command.resetDevice);
    dsa.enable();
    expect(dsa.execute(fields).status).toBe(Status.invalidInterruptHandle);
  });

  it("drops the work whose memory access was aborted", () => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, MIB, { shared: false });
    dsa.enable();
    for (const at of [0n, 32n]) {
      dsa.submit({ ...copy(64), source: 0x1_0000_0000n, completion: RECORD + at, flags: NOTIFY });
    }
    dsa.memory.failure = "aborted";
    dsa.run();
    dsa.memory.failure = undefined;
    dsa.run();
    expect([dsa.record().status, dsa.record(RECORD + 32n).status]).toEqual([0, 0]);
    expect(dsa.execute({ opcode: Opcode.noop }).status).toBe(Status.success);
  });

  it("halts when bus mastering is taken away, until a function level reset", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.write32(0x88, 2);
    dsa.submit({ ...copy(64), completion: RECORD, flags: NOTIFY });
    dsa.writeConfig(4, 2, 0x402);
    expect(dsa.read32(0x90)).toBe(DeviceState.halted | (1 << 2));
    expect(dsa.softwareError()).toMatchObject({ valid: true, error: SoftwareError.pciConfigurationChanged });
    expect(dsa.interrupts).toEqual([0]);
    expect(dsa.read32(0x98)).toBe(0x10);
    const occupancy = dsa.read32(Table.workQueues + 24) & 0xffff;
    dsa.submit({ ...copy(64), completion: RECORD, flags: NOTIFY });
    expect(dsa.read32(Table.workQueues + 24) & 0xffff).toBe(occupancy);
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(dsa.command(Command.resetDevice)).toBe(CommandError.deviceHalted);
    dsa.writeConfig(0x48, 2, 0x8000);
    expect(dsa.read32(0x90)).toBe(0);
    expect(dsa.softwareError().valid).toBe(false);
    dsa.enable();
    expect(dsa.execute(copy(64)).status).toBe(Status.success);
  });

  it("loses nothing of config space in a VFIO reset", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.model.reset();
    expect(dsa.model.config.read(4, 2)).toBe(0x406);
    expect(dsa.read32(0x90)).toBe(0);
    expect(dsa.read32(Table.workQueues)).toBe(0);
  });

  it("drops work when the client goes, and serves the next one", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.submit({ ...copy(MIB), completion: RECORD, flags: NOTIFY });
    dsa.model.clientGone();
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(dsa.execute(copy(64)).status).toBe(Status.success);
  });

  it.each([
    ["reset", (dsa: DsaFixture) => dsa.model.reset()],
    ["the client's end", (dsa: DsaFixture) => dsa.model.clientGone()],
  ])("leaves everything alone after %s during an access by message", (_, happens) => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, MIB, { shared: false });
    dsa.enable();
    dsa.submit({ ...copy(MIB), source: 0x1_0000_0000n, completion: RECORD, flags: NOTIFY });
    dsa.memory.duringAccess = () => {
      happens(dsa);
      dsa.memory.failure = "aborted";
    };
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(dsa.softwareError().valid).toBe(false);
    expect(dsa.memory.faults).toEqual([]);
    dsa.memory.duringAccess = undefined;
    dsa.memory.failure = undefined;
    dsa.command(Command.resetDevice);
    dsa.enable();
    expect(dsa.execute({ ...copy(MIB), source: 0x1_0000_0000n }).status).toBe(Status.success);
  });
});

describe("config space", () => {
  it("identifies the device and offers no ATS or PASID unless asked to", () => {
    const dsa = new DsaFixture();
    expect(dsa.model.config.read(0, 4)).toBe(0x0b25_8086);
    expect(dsa.model.config.read(0x82, 2)).toBe(DSA.msixVectors - 1);
    expect(dsa.model.config.read(0x100, 4) >>> 20).toBe(0);
    const both = new DsaFixture({ ats: true, pasid: true }).model.config;
    expect(both.read(0x100, 4) >>> 20).toBe(0x150);
    expect(both.read(0x150, 4)).toBe(0x1601_000f);
    expect(both.read(0x160, 4)).toBe(0x0001_001b);
  });
});

describe("portals", () => {
  const noop = descriptorBytes({ opcode: Opcode.noop, completion: RECORD, flags: NOTIFY });
  const store = (dsa: DsaFixture, offset: number, from: number, to: number) => {
    const view = new DataView(noop.buffer);
    for (let i = from; i < to; i += 8) dsa.model.portals.write64(offset + i, view.getBigUint64(i, true));
  };

  it.each([0x0, 0x40, 0xfc0, 0x1000])("take a descriptor as eight 8-byte stores at offset %i", (offset) => {
    const dsa = new DsaFixture();
    dsa.enable();
    store(dsa, offset, 0, 56);
    dsa.run();
    expect(dsa.record().status).toBe(0);
    store(dsa, offset, 56, 64);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
  });

  it("collect two slots of a page apart", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    store(dsa, 0, 0, 32);
    store(dsa, 64, 0, 64);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
    dsa.at(RECORD, 32).fill(0);
    store(dsa, 0, 32, 64);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
  });

  it("forget a descriptor whose stores come out of order, and start anew at its beginning", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    store(dsa, 0, 0, 24);
    store(dsa, 0, 32, 64);
    dsa.run();
    expect(dsa.record().status).toBe(0);
    store(dsa, 0, 0, 40);
    store(dsa, 0, 0, 64);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
  });

  it.each([
    ["a reset", (dsa: DsaFixture) => dsa.model.reset()],
    ["the client's end", (dsa: DsaFixture) => dsa.model.clientGone()],
  ])("forget a part of a descriptor at %s", (_, happens) => {
    const dsa = new DsaFixture();
    dsa.enable();
    store(dsa, 0, 0, 32);
    happens(dsa);
    dsa.command(Command.resetDevice);
    dsa.enable();
    store(dsa, 0, 32, 64);
    dsa.run();
    expect(dsa.record().status).toBe(0);
  });

  it("ignore narrower stores and read as ones", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    store(dsa, 0, 0, 56);
    const region = dsa.model.regions.get(PciRegion.bar2);
    region?.write(56, 4, 0);
    store(dsa, 0, 56, 64);
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(region?.read(0, 4)).toBe(0xffff_ffff);
    expect(region?.read64?.(8)).toBe(0xffff_ffff_ffff_ffffn);
  });

  it.each([
    ["of the IMS", 0x2000],
    ["of a queue that is not enabled", 0x4000],
  ])("%s ignore what is written", (_, offset) => {
    const dsa = new DsaFixture();
    dsa.enable();
    dsa.model.portals.write64Bytes(offset, noop);
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(dsa.softwareError().valid).toBe(false);
    expect(dsa.model.portals.enqueue(offset, noop)).toBe("retry");
  });

  it("of a full dedicated queue record the loss", () => {
    const dsa = new DsaFixture();
    dsa.enable([{ size: 2 }]);
    for (let i = 0; i < 3; i++) dsa.submit({ opcode: Opcode.noop });
    expect(dsa.read32(Table.workQueues + 24) & 0xffff).toBe(2);
    expect(dsa.softwareError()).toMatchObject({
      valid: true,
      error: SoftwareError.workQueueFull,
      workQueueValid: true,
      workQueue: 0,
      descriptorValid: false,
    });
    dsa.run();
    expect(dsa.read32(Table.workQueues + 24) & 0xffff).toBe(0);
  });

  it("answer ENQCMD to a dedicated queue with retry", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    expect(dsa.model.portals.enqueue(0, noop)).toBe("retry");
  });
});

describe("a shared work queue", () => {
  const SHARED = 0x10 | WqMode.pasidEnable;
  const shared = (setup = { size: 4, threshold: 2, mode: SHARED }) => {
    const dsa = new DsaFixture({ pasid: true });
    dsa.writeConfig(0x166, 2, 1);
    dsa.enable([setup]);
    return dsa;
  };
  const noop = (pasid: number, more = {}) =>
    descriptorBytes({ opcode: Opcode.noop, completion: RECORD, flags: NOTIFY, pasid, ...more });

  it("takes ENQCMD up to its threshold by the limited portal and up to its size by the unlimited one", () => {
    const dsa = shared();
    const enqueue = (offset: number) => dsa.model.portals.enqueue(offset, noop(5));
    expect([enqueue(0x1000), enqueue(0x1000), enqueue(0x1000)]).toEqual(["success", "success", "retry"]);
    expect([enqueue(0), enqueue(0), enqueue(0)]).toEqual(["success", "success", "retry"]);
    expect(dsa.softwareError().valid).toBe(false);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
  });

  it("ignores posted stores", () => {
    const dsa = shared();
    dsa.submit(noop(5));
    dsa.run();
    expect(dsa.record().status).toBe(0);
  });

  it("refuses privileged descriptors and reserved trusted bits", () => {
    const dsa = shared();
    dsa.model.portals.enqueue(0, noop(5, { privileged: true }));
    dsa.run();
    expect(dsa.record().status).toBe(Status.privilege);
    const reserved = noop(5);
    reserved[2] = 0x10;
    dsa.model.portals.enqueue(0, reserved);
    dsa.run();
    expect(dsa.record().status).toBe(Status.nonZeroReserved);
  });

  it("lets a PASID be aborted and drained alone", () => {
    const dsa = shared();
    dsa.memory.map(0x1_0000_0000n, 64 * MIB);
    const long = { ...copy(64 * MIB), source: 0x1_0000_0000n, destination: 0x1_0000_0000n, flags: NOTIFY };
    dsa.model.portals.enqueue(0, descriptorBytes({ ...long, pasid: 5, completion: RECORD }));
    dsa.model.portals.enqueue(0, descriptorBytes({ ...long, pasid: 6, completion: RECORD + 32n }));
    dsa.model.step();
    dsa.write32(0xa0, (Command.abortPasid << 20) | 5);
    dsa.model.step();
    expect(dsa.read32(0xa8)).toBe(0);
    dsa.write32(0xa0, (Command.drainPasid << 20) | 6);
    dsa.model.step();
    expect(dsa.read32(0xa8)).toBe(0x8000_0000);
    dsa.run();
    expect(dsa.read32(0xa8)).toBe(0);
    expect([dsa.record().status, dsa.record(RECORD + 32n).status]).toEqual([0, Status.success]);
  });

  it("makes a Drain descriptor wait for older ones of its PASID only", () => {
    const SHARED_LARGE = { size: 8, threshold: 8, mode: SHARED };
    for (const [drainPasid, waits] of [
      [5, true],
      [6, false],
    ] as const) {
      const dsa = new DsaFixture({ pasid: true });
      dsa.memory.map(0x1_0000_0000n, 64 * MIB);
      dsa.writeConfig(0x166, 2, 1);
      dsa.enable([SHARED_LARGE], [[1n, 3n]]);
      const long = { ...copy(64 * MIB), source: 0x1_0000_0000n, destination: 0x1_0000_0000n, flags: NOTIFY };
      dsa.model.portals.enqueue(0, descriptorBytes({ ...long, pasid: 5, completion: RECORD }));
      const drain = { opcode: Opcode.drain, flags: NOTIFY, completion: RECORD + 32n, pasid: drainPasid };
      dsa.model.portals.enqueue(0, descriptorBytes(drain));
      for (let i = 0; i < 4; i++) dsa.model.step();
      expect(dsa.record().status).toBe(0);
      expect(dsa.record(RECORD + 32n).status).toBe(waits ? 0 : Status.success);
      dsa.run();
      expect(dsa.record(RECORD + 32n).status).toBe(Status.success);
    }
  });

  it("reports the PASID of a descriptor in SWERROR", () => {
    const dsa = shared();
    dsa.model.portals.enqueue(0, descriptorBytes({ opcode: 0x33, pasid: 0x7_1234 }));
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ error: Status.unsupportedOperation, pasid: 0x7_1234 });
  });

  it("raises no interrupt for a descriptor that may not ask for one", () => {
    const dsa = shared();
    dsa.write32(Table.msixPermissions + 16, (5 << 12) | 8);
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    dsa.model.portals.enqueue(0, noop(5, { flags, handle: 2 }));
    dsa.run();
    expect(dsa.record().status).toBe(Status.invalidFlags);
    expect(dsa.interrupts).toEqual([]);
  });

  it("differs from a dedicated one with PASID, whose configuration gives PASID and privilege", () => {
    const dsa = shared({ size: 4, threshold: 2, mode: DEDICATED | WqMode.pasidEnable | (7 << 8) });
    const flags = Flag.requestCompletionInterrupt;
    dsa.submit({ opcode: Opcode.noop, flags, handle: 2, pasid: 9, privileged: true });
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ error: Status.invalidFlags, pasid: 7, privileged: false });
  });

  it("matches interrupts by PASID", () => {
    const dsa = shared();
    dsa.write32(0x80, 0x1060);
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    const status = () => {
      dsa.model.portals.enqueue(0, noop(5, { flags, handle: 2 }));
      dsa.run();
      return dsa.record().status;
    };
    expect(status()).toBe(Status.invalidFlags);
    dsa.command(Command.disableDevice);
    dsa.write32(0x80, 0x1060);
    dsa.command(Command.enableDevice);
    dsa.command(Command.enableWorkQueue, 0);
    expect(status()).toBe(Status.invalidInterruptHandle);
    dsa.write32(Table.msixPermissions + 16, (6 << 12) | 8);
    expect(status()).toBe(Status.invalidInterruptHandle);
    dsa.write32(Table.msixPermissions + 16, (5 << 12) | 8);
    expect(status()).toBe(Status.success);
    expect(dsa.interrupts).toEqual([2]);
  });
});

describe("work queues and engines", () => {
  it("dispatch by priority within a group", () => {
    const dsa = new DsaFixture();
    dsa.enable(
      [
        { size: 64, mode: 0x31 },
        { size: 64, mode: 0x11 },
      ],
      [[3n, 1n]],
    );
    for (let i = 0; i < 12; i++) {
      for (const queue of [0, 1]) dsa.submit({ flags: Flag.requestCompletionInterrupt, handle: queue + 1 }, queue);
    }
    dsa.run();
    expect(dsa.interrupts.slice(0, 8).filter((vector) => vector === 1)).toHaveLength(6);
    expect(dsa.interrupts).toHaveLength(24);
  });

  it("run one queue's descriptors in order on one engine", () => {
    const dsa = new DsaFixture();
    dsa.enable([{ size: 16 }]);
    for (let i = 1; i <= 8; i++) dsa.submit({ flags: Flag.requestCompletionInterrupt, handle: i });
    dsa.run();
    expect(dsa.interrupts).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("keep a Drain descriptor waiting for what other engines do for its queue", () => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, 32 * MIB);
    dsa.enable([{ size: 16 }], [[1n, 0xfn]]);
    const long = { ...copy(32 * MIB), source: 0x1_0000_0000n, destination: 0x1_0000_0000n };
    dsa.submit({ ...long, flags: Flag.requestCompletionInterrupt, handle: 1 });
    dsa.submit({ opcode: Opcode.drain, flags: Flag.requestCompletionInterrupt, handle: 2 });
    dsa.submit({ opcode: Opcode.noop, flags: Flag.requestCompletionInterrupt, handle: 3 });
    dsa.run();
    expect(dsa.interrupts.indexOf(2)).toBeGreaterThan(dsa.interrupts.indexOf(1));
    expect(dsa.interrupts).toHaveLength(3);
  });

  it("let a second group work during a long copy of the first", () => {
    const dsa = new DsaFixture();
    dsa.memory.map(0x1_0000_0000n, 64 * MIB);
    dsa.enable(
      [{ size: 8 }, { size: 8 }],
      [
        [1n, 1n],
        [2n, 2n],
      ],
    );
    dsa.submit({
      ...copy(64 * MIB),
      source: 0x1_0000_0000n,
      destination: 0x1_0000_0000n,
      completion: RECORD,
      flags: NOTIFY,
    });
    dsa.model.step();
    dsa.submit({ opcode: Opcode.noop, completion: RECORD + 32n, flags: NOTIFY }, 1);
    dsa.model.step();
    dsa.model.step();
    expect(dsa.record(RECORD + 32n).status).toBe(Status.success);
    expect(dsa.record().status).toBe(0);
    dsa.run();
    expect(dsa.record().status).toBe(Status.success);
  });

  it("raise the occupancy interrupt once per acknowledgement", () => {
    const dsa = new DsaFixture();
    dsa.configure([{ size: 16 }]);
    dsa.write32(Table.workQueues + 16, 4);
    dsa.command(Command.enableDevice);
    dsa.command(Command.enableWorkQueue, 0);
    for (let i = 0; i < 4; i++) dsa.submit({ opcode: Opcode.noop });
    dsa.write32(Table.workQueues + 20, 0x1_0001);
    expect(dsa.interrupts).toEqual([]);
    dsa.write32(Table.workQueues + 20, 0x1_0005);
    expect(dsa.read32(Table.workQueues + 20)).toBe(0x1_0001);
    dsa.run();
    expect(dsa.interrupts).toEqual([4]);
    expect(dsa.read32(Table.workQueues + 24)).toBe(0x4001_0000);
    dsa.write32(Table.workQueues + 24, 0x1_0000);
    expect(dsa.interrupts).toEqual([4, 4]);
  });
});
