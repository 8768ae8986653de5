import {
  BASE,
  DEDICATED,
  type DescriptorFields,
  DESTINATION,
  DsaFixture,
  LIST,
  MEMORY_BYTES,
  NOTIFY,
  NOWHERE,
  RECORD,
  SOURCE,
} from "../testing/dsa-fixture";
import { Opcode } from "../testing/opcodes";
import { Flag } from "./descriptors/flags";
import { Status } from "./descriptors/status";
import { Crc32c } from "./operations/crc/crc32c";
import { Command, Table } from "./registers/capabilities";

const END = BASE + BigInt(MEMORY_BYTES);
const WRITE_FAULT = 0x80;

/** Bytes that differ from place to place. */
function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff);
}

/** A model whose work queue uses ATS, which reports page faults with their address. */
function translated(): DsaFixture {
  const dsa = new DsaFixture({ ats: true });
  dsa.writeConfig(0x156, 2, 0x8000);
  dsa.enable();
  return dsa;
}

function untranslated(): DsaFixture {
  const dsa = new DsaFixture();
  dsa.enable();
  return dsa;
}

/** 64-bit values for bytes 40 and following. */
function words(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

const move = (fields: DescriptorFields = {}): DescriptorFields => ({
  opcode: Opcode.memoryMove,
  source: SOURCE,
  destination: DESTINATION,
  size: 0x5000,
  ...fields,
});

describe("Memory Move", () => {
  it("copies, and nothing else", () => {
    const dsa = untranslated();
    const data = pattern(0x5003);
    dsa.at(SOURCE, data.length).set(data);
    const before = dsa.bytes.slice();
    expect(dsa.execute(move({ source: SOURCE + 1n, destination: DESTINATION + 3n, size: 0x5001 }))).toEqual({
      status: Status.success,
      result: 0,
      completed: 0,
      faultAddress: 0n,
      extra: 0,
    });
    expect(dsa.at(DESTINATION + 3n, 0x5001)).toEqual(data.subarray(1, 0x5002));
    before.set(data.subarray(1, 0x5002), Number(DESTINATION - BASE) + 3);
    before.set(dsa.at(RECORD, 32), 0);
    expect(Buffer.compare(dsa.bytes, before)).toBe(0);
  });

  it.each([-0x1001, -3, -1, 0, 1, 3, 0x1001])("is right when the buffers overlap by a distance of %i", (distance) => {
    const dsa = untranslated();
    const data = pattern(0x9000);
    dsa.at(SOURCE, data.length).set(data);
    const destination = SOURCE + BigInt(distance);
    expect(dsa.execute(move({ destination, size: 0x9000 })).status).toBe(Status.success);
    expect(Buffer.compare(dsa.at(destination, 0x9000), data)).toBe(0);
  });

  it("reaches memory that only messages reach", () => {
    const dsa = untranslated();
    const far = dsa.memory.map(0x1_0000_0000n, 0x10_0000, { shared: false });
    far.set(pattern(0x8_0000));
    expect(dsa.execute(move({ source: 0x1_0000_0000n, destination: 0x1_0008_0000n, size: 0x8_0000 })).status).toBe(1);
    expect(Buffer.compare(far.subarray(0, 0x8_0000), far.subarray(0x8_0000))).toBe(0);
    expect(dsa.execute(move({ source: 0x1_0000_0000n, destination: 0x1_0000_0800n, size: 0x4_0000 })).status).toBe(1);
    expect(Buffer.compare(far.subarray(0x800, 0x4_0800), pattern(0x4_0000))).toBe(0);
  });

  it("reads nothing of shared memory once a message is under way: the client may unmap it then", () => {
    const dsa = untranslated();
    const far = dsa.memory.map(0x1_0000_0000n, 0x8_0000, { shared: false });
    dsa.at(SOURCE, 0x8_0000).set(pattern(0x8_0000));
    dsa.memory.duringAccess = () => dsa.at(SOURCE, 0x8_0000).fill(0xff);
    expect(dsa.execute(move({ destination: 0x1_0000_0000n, size: 0x8_0000 })).status).toBe(Status.success);
    expect(Buffer.compare(far, pattern(0x8_0000))).toBe(0);
  });

  it("with ATS stops at a source fault and reports where", () => {
    const dsa = translated();
    dsa.at(END - 0x3000n, 0x3000).set(pattern(0x3000));
    expect(dsa.execute(move({ source: END - 0x3000n }))).toEqual({
      status: Status.pageFault,
      result: 0,
      completed: 0x3000,
      faultAddress: END,
      extra: 0,
    });
    expect(Buffer.compare(dsa.at(DESTINATION, 0x3000), pattern(0x3000))).toBe(0);
    expect(dsa.at(DESTINATION + 0x3000n, 0x2000).every((byte) => byte === 0)).toBe(true);
  });

  it("with ATS stops at a destination fault and reports a write", () => {
    const dsa = translated();
    expect(dsa.execute(move({ destination: END - 0x1800n }))).toMatchObject({
      status: Status.pageFault | WRITE_FAULT,
      completed: 0x1800,
      faultAddress: END,
    });
    const readOnly = translated();
    readOnly.memory.map(NOWHERE, 0x4000, { access: "read" });
    expect(readOnly.execute(move({ destination: NOWHERE }))).toMatchObject({
      status: Status.pageFault | WRITE_FAULT,
      completed: 0,
      faultAddress: NOWHERE,
    });
  });

  it("with ATS goes on where it stopped, backwards too", () => {
    const dsa = translated();
    // The destination's last page is missing, and a backward copy starts there.
    const source = END - 0x4000n;
    dsa.at(source, 0x4000).set(pattern(0x4000));
    const first = dsa.execute(move({ source, destination: source + 0x800n, size: 0x4000 }));
    expect(first).toMatchObject({ status: Status.pageFault | WRITE_FAULT, result: 1, completed: 0, faultAddress: END });
    const lost = dsa.memory.map(END, 0x1000);
    const second = dsa.execute(move({ source, destination: source + 0x800n, size: 0x4000 - first.completed }));
    expect(second.status).toBe(Status.success);
    expect(Buffer.compare(dsa.at(source + 0x800n, 0x3800), pattern(0x3800))).toBe(0);
    expect(Buffer.compare(lost.subarray(0, 0x800), pattern(0x4000).subarray(0x3800))).toBe(0);
  });

  it("without ATS reports a read fault as a hardware error", () => {
    const dsa = untranslated();
    expect(dsa.execute(move({ source: NOWHERE }))).toMatchObject({ status: Status.hardwareError, faultAddress: 0n });
    expect(dsa.memory.faults).toEqual([{ iova: NOWHERE, access: "read", reason: "unmapped" }]);
    expect(dsa.at(DESTINATION, 0x5000).every((byte) => byte === 0)).toBe(true);
  });

  it("without ATS loses writes without notice, but reports a few to the client's IOMMU", () => {
    const dsa = untranslated();
    expect(dsa.execute(move({ destination: NOWHERE, size: 0x10_0000 })).status).toBe(Status.success);
    expect(dsa.memory.faults[0]).toEqual({ iova: NOWHERE, access: "write", reason: "unmapped" });
    expect(dsa.memory.faults).toHaveLength(16);
    dsa.at(END - 0x1000n, 0x1000).fill(0);
    dsa.at(SOURCE, 0x1000).fill(9);
    expect(dsa.execute(move({ destination: END - 0x1000n })).status).toBe(Status.success);
    expect(dsa.at(END - 0x1000n, 0x1000).every((byte) => byte === 9)).toBe(true);
  });

  it("without ATS shows a lost write by a destination readback", () => {
    const dsa = untranslated();
    const flags = NOTIFY | Flag.destinationReadback;
    expect(dsa.execute(move({ destination: NOWHERE, flags })).status).toBe(Status.writeError);
    expect(dsa.execute(move({ flags })).status).toBe(Status.success);
  });

  it("obeys the queue's switch that turns ATS off", () => {
    const dsa = new DsaFixture({ ats: true });
    dsa.writeConfig(0x156, 2, 0x8000);
    dsa.enable([{ mode: DEDICATED | 4 }]);
    expect(dsa.execute(move({ source: NOWHERE })).status).toBe(Status.hardwareError);
  });

  it("takes an address range that wraps for what it is: a fault", () => {
    const dsa = translated();
    const record = dsa.execute(move({ source: 0xffff_ffff_ffff_f000n }));
    expect(record).toMatchObject({ status: Status.pageFault, completed: 0, faultAddress: 0xffff_ffff_ffff_f000n });
  });
});

describe("Fill", () => {
  it.each([1, 7, 8, 9, 0x1_0001, 0x2_0005])("writes the pattern over %i bytes", (size) => {
    const dsa = untranslated();
    const eight = 0x8877_6655_4433_2211n;
    expect(dsa.execute({ opcode: Opcode.fill, source: eight, destination: DESTINATION + 5n, size }).status).toBe(1);
    const expected = Buffer.alloc(size, words(eight));
    expect(Buffer.compare(dsa.at(DESTINATION + 5n, size), expected)).toBe(0);
    expect(dsa.at(DESTINATION + 5n + BigInt(size), 8).every((byte) => byte === 0)).toBe(true);
  });

  it("reports how far it came", () => {
    const dsa = translated();
    const record = dsa.execute({ opcode: Opcode.fill, source: 1n, destination: END - 0x1004n, size: 0x2000 });
    expect(record).toMatchObject({ status: Status.pageFault | WRITE_FAULT, completed: 0x1004, faultAddress: END });
  });
});

describe("Compare", () => {
  const compare = (dsa: DsaFixture, size: number, more: DescriptorFields = {}) =>
    dsa.execute({ opcode: Opcode.compare, source: SOURCE, destination: DESTINATION, size, ...more });

  it("finds equal memory equal and the first difference where it is", () => {
    const dsa = untranslated();
    dsa.at(SOURCE, 0x3_0000).set(pattern(0x3_0000));
    dsa.at(DESTINATION, 0x3_0000).set(pattern(0x3_0000));
    expect(compare(dsa, 0x3_0000)).toMatchObject({ status: Status.success, result: 0, completed: 0 });
    for (const at of [0x2_ffff, 0x1_0000, 0xffff, 1, 0]) {
      dsa.at(DESTINATION + BigInt(at), 1)[0]! ^= 0x10;
      expect(compare(dsa, 0x3_0000)).toMatchObject({ status: Status.success, result: 1, completed: at });
    }
  });

  it.each([
    [0, 0, Status.success],
    [0, 1, Status.successFalsePredicate],
    [1, 0, Status.successFalsePredicate],
    [1, 1, Status.success],
  ])("with Check Result, expecting %i and finding %i, ends in status %i", (expected, result, status) => {
    const dsa = untranslated();
    dsa.at(SOURCE, 1)[0] = result;
    const flags = NOTIFY | Flag.checkResult;
    expect(compare(dsa, 64, { flags, rest: Uint8Array.of(expected) })).toMatchObject({ status, result });
  });

  it("reports a difference rather than a later fault, and a fault where nothing differs before it", () => {
    const dsa = translated();
    dsa.at(END - 0x1000n, 0x1000).fill(0);
    const partly = { destination: END - 0x1000n };
    expect(compare(dsa, 0x2000, partly)).toMatchObject({
      status: Status.pageFault,
      result: 0,
      completed: 0x1000,
      faultAddress: END,
    });
    dsa.at(SOURCE + 0x20n, 1)[0] = 1;
    expect(compare(dsa, 0x2000, partly)).toMatchObject({ status: Status.success, result: 1, completed: 0x20 });
  });

  it("compares with a pattern", () => {
    const dsa = untranslated();
    const eight = 0x0807_0605_0403_0201n;
    dsa.at(SOURCE, 0x2_0003).set(Buffer.alloc(0x2_0003, words(eight)));
    const fields = { opcode: Opcode.comparePattern, destination: eight };
    expect(compare(dsa, 0x2_0003, fields)).toMatchObject({ status: Status.success, result: 0 });
    dsa.at(SOURCE + 0x1_fff1n, 1)[0] = 0;
    expect(compare(dsa, 0x2_0003, fields)).toMatchObject({ status: Status.success, result: 1, completed: 0x1_fff1 });
  });
});

describe("Compare Pattern", () => {
  it("keeps its place in the pattern where a map ends in the middle of it", () => {
    const dsa = untranslated();
    const next = dsa.memory.map(END, 0x1000);
    const eight = 0x0807_0605_0403_0201n;
    const data = Buffer.alloc(40, words(eight));
    dsa.at(END - 13n, 13).set(data.subarray(0, 13));
    next.set(data.subarray(13));
    const fields = { opcode: Opcode.comparePattern, source: END - 13n, destination: eight, size: 40 };
    expect(dsa.execute(fields)).toMatchObject({ status: Status.success, result: 0 });
  });
});

describe("CRC Generation and Copy with CRC Generation", () => {
  const crc = (bytes: Uint8Array, seed = 0) => {
    const computation = new Crc32c(seed, { bypassInversion: false, bypassDataReflection: false });
    computation.update(bytes);
    return computation.value;
  };

  it("sum the source, from the descriptor's seed or one in memory", () => {
    const dsa = untranslated();
    const data = pattern(0x2_0007);
    dsa.at(SOURCE, data.length).set(data);
    const fields = { opcode: Opcode.crcGeneration, source: SOURCE, size: data.length };
    expect(dsa.execute(fields)).toMatchObject({ status: Status.success, extra: crc(data) });
    expect(dsa.execute({ ...fields, rest: words(0x1234_5678n) }).extra).toBe(crc(data, 0x1234_5678));
    dsa.at(LIST, 4).set([0x78, 0x56, 0x34, 0x12]);
    const flags = NOTIFY | Flag.readCrcSeed;
    expect(dsa.execute({ ...fields, flags, rest: words(0n, LIST) }).extra).toBe(crc(data, 0x1234_5678));
  });

  it.each([
    ["inversion", Flag.bypassCrcInversion, { bypassInversion: true, bypassDataReflection: false }],
    ["data reflection", Flag.bypassDataReflection, { bypassInversion: false, bypassDataReflection: true }],
  ])("leave out the %s when the descriptor says so", (_, flag, options) => {
    const dsa = untranslated();
    const data = pattern(1003);
    dsa.at(SOURCE, data.length).set(data);
    const expected = new Crc32c(0x1234, options);
    expected.update(data);
    const fields = { opcode: Opcode.crcGeneration, source: SOURCE, size: data.length, rest: words(0x1234n) };
    expect(dsa.execute({ ...fields, flags: NOTIFY | flag }).extra).toBe(expected.value);
  });

  it("copy as well", () => {
    const dsa = untranslated();
    const data = pattern(0x1_8003);
    dsa.at(SOURCE, data.length).set(data);
    const fields = { opcode: Opcode.copyWithCrc, source: SOURCE, destination: DESTINATION, size: data.length };
    expect(dsa.execute(fields)).toMatchObject({ status: Status.success, extra: crc(data) });
    expect(Buffer.compare(dsa.at(DESTINATION, data.length), data)).toBe(0);
  });

  it("give the sum of the bytes before a fault, to go on with", () => {
    const dsa = translated();
    const data = pattern(0x1800);
    dsa.at(END - 0x1800n, 0x1800).set(data);
    const fields = { opcode: Opcode.crcGeneration, source: END - 0x1800n, size: 0x2000 };
    const first = dsa.execute(fields);
    expect(first).toMatchObject({ status: Status.pageFault, completed: 0x1800, faultAddress: END, extra: crc(data) });
    const rest = dsa.memory.map(END, 0x800);
    rest.set(pattern(0x800, 9));
    const second = dsa.execute({ ...fields, source: END, size: 0x800, rest: words(BigInt(first.extra)) });
    expect(second).toMatchObject({ status: Status.success, extra: crc(Uint8Array.from([...data, ...rest])) });

    const copy = dsa.execute({
      opcode: Opcode.copyWithCrc,
      source: END - 0x1800n,
      destination: END - 0x3000n + 0x2800n + 0x800n + 0x400n,
      size: 0x400,
    });
    expect(copy).toMatchObject({ status: Status.success });
  });

  it("sum exactly the copied bytes when the destination faults", () => {
    const dsa = translated();
    const data = pattern(0x2000);
    dsa.at(SOURCE, data.length).set(data);
    const fields = { opcode: Opcode.copyWithCrc, source: SOURCE, destination: END - 0x1100n, size: 0x2000 };
    expect(dsa.execute(fields)).toMatchObject({
      status: Status.pageFault | WRITE_FAULT,
      completed: 0x1100,
      extra: crc(data.subarray(0, 0x1100)),
    });
  });

  it("report a seed that cannot be read", () => {
    const dsa = translated();
    const fields = { opcode: Opcode.crcGeneration, source: SOURCE, size: 64, flags: NOTIFY | Flag.readCrcSeed };
    expect(dsa.execute({ ...fields, rest: words(0n, NOWHERE) })).toMatchObject({
      status: Status.pageFault,
      completed: 0,
      faultAddress: NOWHERE,
    });
  });
});

describe("Memory Copy with Dualcast", () => {
  const second = DESTINATION + 0x10_0000n;
  const dualcast = (dsa: DsaFixture, more: DescriptorFields = {}) =>
    dsa.execute({
      opcode: Opcode.dualcast,
      source: SOURCE,
      destination: DESTINATION,
      size: 0x3001,
      rest: words(second),
      ...more,
    });

  it("copies to both", () => {
    const dsa = untranslated();
    const data = pattern(0x3001);
    dsa.at(SOURCE, data.length).set(data);
    expect(dualcast(dsa).status).toBe(Status.success);
    expect(Buffer.compare(dsa.at(DESTINATION, data.length), data)).toBe(0);
    expect(Buffer.compare(dsa.at(second, data.length), data)).toBe(0);
  });

  it.each([
    ["first", { destination: NOWHERE, rest: words(DESTINATION) }],
    ["second", { destination: DESTINATION, rest: words(NOWHERE) }],
  ])("shows a lost write to the %s by a destination readback", (_, fields) => {
    const flags = NOTIFY | Flag.destinationReadback;
    expect(dualcast(untranslated(), { ...fields, flags }).status).toBe(Status.writeError);
    expect(dualcast(untranslated(), { flags }).status).toBe(Status.success);
  });

  it.each([
    ["first", { destination: END - 0x2000n, rest: words(DESTINATION) }],
    ["second", { destination: DESTINATION, rest: words(END - 0x2000n) }],
  ])("stops both at the same byte when the %s faults", (_, fields) => {
    const dsa = translated();
    dsa.at(SOURCE, 0x3001).fill(5);
    expect(dualcast(dsa, fields)).toMatchObject({
      status: Status.pageFault | WRITE_FAULT,
      completed: 0x2000,
      faultAddress: END,
    });
    expect(dsa.at(DESTINATION, 0x2000).every((byte) => byte === 5)).toBe(true);
    expect(dsa.at(DESTINATION + 0x2000n, 0x1001).every((byte) => byte === 0)).toBe(true);
  });
});

describe("Cache Flush", () => {
  it("succeeds on memory and, with ATS, faults elsewhere", () => {
    const flush = { opcode: Opcode.cacheFlush, destination: END - 0x1000n, size: 0x2000 };
    expect(untranslated().execute(flush).status).toBe(Status.success);
    expect(translated().execute(flush)).toMatchObject({
      status: Status.pageFault,
      completed: 0x1000,
      faultAddress: END,
    });
  });
});

describe("Batch", () => {
  const member = (n: number, more: DescriptorFields = {}): DescriptorFields => ({
    opcode: Opcode.fill,
    source: BigInt(n),
    destination: DESTINATION + BigInt(n * 8),
    size: 8,
    ...more,
  });

  it("processes its members and counts them", () => {
    const dsa = untranslated();
    const members = Array.from({ length: 100 }, (_, n) => member(n));
    expect(dsa.executeBatch(members)).toMatchObject({ status: Status.success, completed: 100 });
    const values = new BigUint64Array(dsa.at(DESTINATION, 800).slice().buffer);
    expect([...values]).toEqual(members.map((_, n) => BigInt(n)));
  });

  it("fetches members before it runs them: one that overwrites the next has no effect on it", () => {
    const dsa = untranslated();
    const overwriting = { opcode: Opcode.fill, source: 0n, destination: LIST + 64n, size: 64 };
    expect(dsa.executeBatch([overwriting, member(5)])).toMatchObject({ status: Status.success, completed: 2 });
    expect(dsa.at(LIST + 64n, 64).every((byte) => byte === 0)).toBe(true);
    expect(dsa.at(DESTINATION + 40n, 1)[0]).toBe(5);
  });

  it("goes on after a failure, up to a fence", () => {
    const dsa = untranslated();
    const failing = move({ source: NOWHERE, size: 8 });
    expect(dsa.executeBatch([member(1), failing, member(2), member(3)])).toMatchObject({
      status: Status.batchFailure,
      completed: 4,
    });
    expect(dsa.at(DESTINATION + 24n, 1)[0]).toBe(3);
    dsa.at(DESTINATION, 64).fill(0);
    dsa.write64(0xc0, 3n);
    const fenced = member(3, { flags: Flag.fence });
    expect(dsa.executeBatch([member(1), failing, member(2), fenced, member(4)])).toMatchObject({
      status: Status.batchFailure,
      completed: 3,
    });
    expect([2, 3, 4].map((n) => dsa.at(DESTINATION + BigInt(n * 8), 1)[0])).toEqual([2, 0, 0]);
  });

  it("lets a fence pass when all before it succeeded, and stops at a false predicate", () => {
    const dsa = untranslated();
    const compare = (expected: number): DescriptorFields => ({
      opcode: Opcode.compare,
      source: SOURCE,
      destination: DESTINATION + 0x1000n,
      size: 8,
      flags: NOTIFY | Flag.checkResult,
      completion: RECORD + 64n,
      rest: Uint8Array.of(expected),
    });
    const fenced = member(3, { flags: Flag.fence });
    expect(dsa.executeBatch([compare(0), fenced])).toMatchObject({ status: Status.success, completed: 2 });
    expect(dsa.executeBatch([compare(1), fenced])).toMatchObject({ status: Status.batchFailure, completed: 1 });
  });

  it.each([Opcode.batch, Opcode.drain])("does not take operation %i as a member", (opcode) => {
    const dsa = untranslated();
    const nested = { opcode, source: opcode === Opcode.batch ? LIST : 0n, size: opcode === Opcode.batch ? 2 : 0 };
    const members = [member(1), { ...nested, completion: RECORD + 64n, flags: NOTIFY }];
    expect(dsa.executeBatch(members)).toMatchObject({ status: Status.batchFailure, completed: 2 });
    expect(dsa.record(RECORD + 64n).status).toBe(Status.unsupportedOperation);
  });

  it("ignores the trusted fields of members", () => {
    const dsa = untranslated();
    expect(dsa.executeBatch([member(1, { pasid: 7, privileged: true }), member(2)]).status).toBe(Status.success);
  });

  it("reports how far it came when its list cannot be read", () => {
    const list = END - 128n;
    const fields = { source: list, size: 4 };
    for (const dsa of [translated(), untranslated()]) {
      dsa.at(list, 128).fill(0);
      const record = dsa.execute({ opcode: Opcode.batch, ...fields });
      if (dsa.model.config.read(0x100, 4) >>> 20 !== 0) {
        expect(record).toMatchObject({ status: Status.batchPageFault, completed: 2, faultAddress: END });
      } else {
        expect(record).toMatchObject({ status: Status.hardwareError });
      }
    }
  });

  it("writes no record for a failure of a member unless one was requested", () => {
    const dsa = untranslated();
    dsa.executeBatch([member(1), { ...member(2), size: 0 }], { flags: Flag.completionAddressValid });
    expect(dsa.record().status).toBe(0);
  });

  it("counts a member in SWERROR by its index", () => {
    const dsa = untranslated();
    dsa.executeBatch([member(1), { ...member(2), size: 0 }]);
    expect(dsa.softwareError()).toMatchObject({
      valid: true,
      error: Status.invalidTransferSize,
      batch: true,
      batchIndex: 1,
      operation: Opcode.fill,
    });
  });
});

describe("descriptor checks", () => {
  const refused: [name: string, status: number, fields: DescriptorFields][] = [
    ["an unknown operation", Status.unsupportedOperation, { opcode: 0xff }],
    ["an operation that is not modelled", Status.unsupportedOperation, { opcode: Opcode.difCheck }],
    ["a fence outside a batch", Status.invalidFlags, { flags: NOTIFY | Flag.fence }],
    ["block on fault", Status.invalidFlags, move({ flags: NOTIFY | Flag.blockOnFault })],
    [
      "a compare without its record",
      Status.invalidFlags,
      { opcode: Opcode.compare, size: 8, flags: Flag.completionAddressValid },
    ],
    ["a drain without notification", Status.invalidFlags, { opcode: Opcode.drain, flags: Flag.completionAddressValid }],
    [
      "cache control of a flush",
      Status.invalidFlags,
      { opcode: Opcode.cacheFlush, size: 8, flags: NOTIFY | Flag.cacheControl },
    ],
    [
      "the seed's traffic class without a seed in memory",
      Status.invalidFlags,
      { opcode: Opcode.crcGeneration, size: 8, flags: NOTIFY | Flag.trafficClass3 },
    ],
    ["a reserved byte", Status.nonZeroReserved, move({ rest: Uint8Array.of(0, 0, 1) })],
    ["a handle without an interrupt", Status.nonZeroReserved, { handle: 1 }],
    [
      "a seed and an address for it",
      Status.nonZeroReserved,
      {
        opcode: Opcode.crcGeneration,
        source: SOURCE,
        size: 8,
        flags: NOTIFY | Flag.readCrcSeed,
        rest: words(1n, LIST),
      },
    ],
    [
      "an address of a seed that is not used",
      Status.nonZeroReserved,
      { opcode: Opcode.crcGeneration, source: SOURCE, size: 8, rest: words(0n, LIST) },
    ],
    ["a transfer of no bytes", Status.invalidTransferSize, move({ size: 0 })],
    ["a batch of one", Status.invalidDescriptorCount, { opcode: Opcode.batch, source: LIST, size: 1 }],
    ["a batch beyond the limit", Status.invalidDescriptorCount, { opcode: Opcode.batch, source: LIST, size: 1025 }],
    ["a misaligned list", Status.descriptorListMisaligned, { opcode: Opcode.batch, source: LIST + 32n, size: 2 }],
    [
      "a misaligned seed",
      Status.misalignedAddress,
      {
        opcode: Opcode.crcGeneration,
        source: SOURCE,
        size: 8,
        flags: NOTIFY | Flag.readCrcSeed,
        rest: words(0n, LIST + 2n),
      },
    ],
    [
      "dualcast to different page offsets",
      Status.dualcastMisaligned,
      {
        opcode: Opcode.dualcast,
        source: SOURCE,
        destination: DESTINATION,
        size: 8,
        rest: words(DESTINATION + 0x2008n),
      },
    ],
    [
      "dualcast onto itself",
      Status.overlappingBuffers,
      {
        opcode: Opcode.dualcast,
        source: SOURCE,
        destination: DESTINATION,
        size: 0x1001,
        rest: words(DESTINATION + 0x1000n),
      },
    ],
    [
      "a CRC copy onto itself",
      Status.overlappingBuffers,
      { opcode: Opcode.copyWithCrc, source: SOURCE, destination: SOURCE + 7n, size: 8 },
    ],
    [
      "an interrupt beyond the table",
      Status.invalidInterruptHandle,
      { flags: NOTIFY | Flag.requestCompletionInterrupt, handle: 9 },
    ],
  ];

  it.each(refused)("refuse %s", (_, status, fields) => {
    const dsa = untranslated();
    expect(dsa.execute(fields).status).toBe(status);
    expect(dsa.interrupts).toEqual([]);
  });

  it("name every invalid flag", () => {
    const dsa = untranslated();
    const record = dsa.execute(move({ flags: NOTIFY | 0xff_8062 }));
    expect(record).toMatchObject({ status: Status.invalidFlags, extra: 0xff_8062 });
  });

  it("obey the queue's own limits and operations", () => {
    const dsa = new DsaFixture();
    dsa.configure([{ limits: 12 | (1 << 5) }]);
    dsa.write64(Table.workQueues + 32, 0xbn);
    dsa.command(Command.enableDevice);
    dsa.command(Command.enableWorkQueue, 0);
    expect(dsa.execute(move({ size: 4096 })).status).toBe(Status.success);
    expect(dsa.execute(move({ size: 4097 })).status).toBe(Status.invalidTransferSize);
    expect(dsa.execute({ opcode: Opcode.batch, source: LIST, size: 3 }).status).toBe(Status.invalidDescriptorCount);
    for (const opcode of [Opcode.fill, Opcode.cacheFlush]) {
      const { status } = dsa.execute({ opcode, destination: DESTINATION, size: 8 });
      expect([opcode, status]).toEqual([opcode, Status.unsupportedOperation]);
    }
    expect(dsa.execute({ opcode: Opcode.noop }).status).toBe(Status.success);
  });

  it("report errors without a completion record to SWERROR, and overflow when it is taken", () => {
    const dsa = untranslated();
    dsa.write32(0x88, 1);
    dsa.submit({ opcode: Opcode.memoryMove, source: SOURCE, flags: 0x8000 });
    dsa.run();
    expect(dsa.softwareError()).toEqual({
      valid: true,
      overflow: false,
      descriptorValid: true,
      workQueueValid: true,
      batch: false,
      write: false,
      privileged: false,
      error: Status.invalidFlags,
      workQueue: 0,
      operation: Opcode.memoryMove,
      pasid: 0,
      batchIndex: 0,
      invalidFlags: 0x8000,
      address: 0n,
    });
    expect(dsa.interrupts).toEqual([0]);
    expect(dsa.read32(0x98)).toBe(1);
    dsa.submit({ opcode: 0x33 });
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ overflow: true, error: Status.invalidFlags });
    expect(dsa.interrupts).toEqual([0]);
    dsa.write64(0xc0, 1n);
    dsa.submit({ opcode: 0x33 });
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ valid: true, overflow: true, error: Status.unsupportedOperation });
  });

  it("report to SWERROR whether the descriptor was privileged", () => {
    const dsa = untranslated();
    dsa.submit({ opcode: 0x33, privileged: true });
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ error: Status.unsupportedOperation, privileged: true });
  });

  it("report an invalid interrupt handle in both places", () => {
    const dsa = untranslated();
    dsa.execute({ flags: NOTIFY | Flag.requestCompletionInterrupt, handle: 9 });
    expect(dsa.softwareError()).toMatchObject({ valid: true, error: Status.invalidInterruptHandle });
  });

  it("discard a descriptor whose completion record is misaligned", () => {
    const dsa = untranslated();
    dsa.submit(move({ completion: RECORD + 16n, flags: NOTIFY | Flag.requestCompletionInterrupt, handle: 1 }));
    dsa.run();
    expect(dsa.softwareError()).toMatchObject({ valid: true, error: Status.completionAddressMisaligned });
    expect(dsa.interrupts).toEqual([]);
  });

  it("with ATS discard one whose completion record cannot be written; without, lose the record", () => {
    const withAts = translated();
    withAts.at(SOURCE, 8).fill(3);
    withAts.submit(move({ completion: NOWHERE, flags: NOTIFY }));
    withAts.run();
    expect(withAts.softwareError()).toMatchObject({
      valid: true,
      error: Status.completionAddressFault,
      write: true,
      address: NOWHERE,
    });
    expect(withAts.at(DESTINATION, 1)[0]).toBe(0);
    const without = untranslated();
    without.submit(move({ completion: NOWHERE, flags: NOTIFY }));
    without.run();
    expect(without.softwareError().valid).toBe(false);
    expect(without.memory.faults).toHaveLength(1);
  });
});

describe("completion", () => {
  it("is silent unless the descriptor asks for a record or an interrupt", () => {
    const dsa = untranslated();
    dsa.submit(move({ completion: RECORD, flags: Flag.completionAddressValid }));
    dsa.submit(move({}));
    dsa.run();
    expect(dsa.record().status).toBe(0);
    expect(dsa.interrupts).toEqual([]);
    expect(dsa.softwareError().valid).toBe(false);
  });

  it("interrupts once, by the handle's vector, unless MSIXPERM says ignore", () => {
    const dsa = untranslated();
    const flags = NOTIFY | Flag.requestCompletionInterrupt;
    dsa.execute(move({ flags, handle: 8 }));
    expect(dsa.interrupts).toEqual([8]);
    dsa.write32(Table.msixPermissions + 8 * 8, 4);
    dsa.execute(move({ flags, handle: 8 }));
    expect(dsa.interrupts).toEqual([8]);
    dsa.execute(move({ flags, handle: 7, size: 0 }));
    expect(dsa.interrupts).toEqual([8, 7]);
  });
});
