import fc from "fast-check";
import { PciRegion } from "@vfio-selftests/vfio-user";
import type { DescriptorFields } from "../testing/dsa-fixture";
import { BASE, descriptorBytes, DESTINATION, DsaFixture, NOTIFY, RECORD, SOURCE } from "../testing/dsa-fixture";
import { Opcode } from "../testing/opcodes";
import { Flag } from "./descriptors/flags";
import { Status } from "./descriptors/status";
import { Crc32c } from "./operations/crc/crc32c";
import { operationOf } from "./operations/table";
import { Command, DSA } from "./registers/capabilities";

/** Where operands lie: small enough that they often overlap, large enough for several pages. */
const ARENA = SOURCE;
const ARENA_BYTES = 0x6000;

/** The effect of an operation on memory, computed in the plainest way. */
function reference(memory: Uint8Array, fields: Required<DescriptorFields>) {
  const at = (address: bigint) => Number(address - ARENA);
  const [source, destination, size] = [at(fields.source), at(fields.destination), fields.size];
  const data = memory.slice(source, source + size);
  switch (fields.opcode) {
    case Opcode.memoryMove:
      memory.set(data, destination);
      return { status: Status.success };
    case Opcode.fill: {
      const pattern = new Uint8Array(BigUint64Array.of(fields.source).buffer);
      for (let i = 0; i < size; i++) memory[destination + i] = pattern[i % 8] as number;
      return { status: Status.success };
    }
    case Opcode.compare: {
      const other = memory.slice(destination, destination + size);
      const first = data.findIndex((byte, i) => byte !== other[i]);
      return first < 0 ? { status: 1, result: 0, completed: 0 } : { status: 1, result: 1, completed: first };
    }
    case Opcode.comparePattern: {
      const pattern = new Uint8Array(BigUint64Array.of(fields.destination).buffer);
      const first = data.findIndex((byte, i) => byte !== pattern[i % 8]);
      return first < 0 ? { status: 1, result: 0, completed: 0 } : { status: 1, result: 1, completed: first };
    }
    case Opcode.dualcast: {
      memory.set(data, destination);
      memory.set(data, destination + 0x2000);
      return { status: Status.success };
    }
    default: {
      const crc = new Crc32c(0, { bypassInversion: false, bypassDataReflection: false });
      crc.update(data);
      if (fields.opcode === Opcode.copyWithCrc) memory.set(data, destination);
      return { status: Status.success, extra: crc.value };
    }
  }
}

/** Whether buffers overlap that must not. */
function overlaps({ opcode, source, destination, size }: Required<DescriptorFields>): boolean {
  const apart = (a: bigint, b: bigint) => (a > b ? a - b : b - a) >= BigInt(size);
  if (opcode === Opcode.copyWithCrc) return !apart(source, destination);
  if (opcode !== Opcode.dualcast) return false;
  return !apart(source, destination) || !apart(source, destination + 0x2000n) || size > 0x2000;
}

const operation = fc
  .record({
    opcode: fc.constantFrom(
      Opcode.memoryMove,
      Opcode.fill,
      Opcode.compare,
      Opcode.comparePattern,
      Opcode.dualcast,
      Opcode.crcGeneration,
      Opcode.copyWithCrc,
    ),
    source: fc.integer({ min: 0, max: 0x1fff }),
    destination: fc.integer({ min: 0, max: 0x1fff }),
    size: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 0x2000 })),
  })
  .map(({ opcode, source, destination, size }): Required<DescriptorFields> => {
    const isPattern = opcode === Opcode.comparePattern;
    const fields = {
      opcode,
      flags: NOTIFY,
      completion: RECORD,
      source: opcode === Opcode.fill ? 0x0101_0101_0101_0100n + BigInt(source & 3) : ARENA + BigInt(source),
      destination: isPattern ? 0n : ARENA + BigInt(destination),
      size,
      handle: 0,
      pasid: 0,
      privileged: false,
      rest: new Uint8Array(0),
    };
    if (opcode === Opcode.dualcast) {
      return { ...fields, rest: new Uint8Array(BigUint64Array.of(fields.destination + 0x2000n).buffer) };
    }
    return opcode === Opcode.crcGeneration ? { ...fields, destination: 0n } : fields;
  });

describe("operations", () => {
  it("change memory as the plainest program does, alone and in batches", () => {
    fc.assert(
      fc.property(
        fc.array(operation, { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 255 }),
        (operations, asBatch, seed) => {
          const dsa = new DsaFixture();
          dsa.enable();
          const memory = dsa.at(ARENA, ARENA_BYTES);
          // Few distinct values, so that comparisons find a difference late.
          for (let i = 0; i < memory.length; i++) memory[i] = ((i * seed) >> 9) & 1;
          const expected = memory.slice();
          const good = operations.filter((fields) => !overlaps(fields));
          if (asBatch && good.length >= 2) {
            for (const fields of good) reference(expected, fields);
            const members = good.map((fields) => ({ ...fields, completion: RECORD + 64n }));
            expect(dsa.executeBatch(members)).toMatchObject({ status: Status.success, completed: good.length });
          } else {
            for (const fields of operations) {
              const outcome = overlaps(fields) ? { status: Status.overlappingBuffers } : reference(expected, fields);
              expect(dsa.execute(fields)).toMatchObject(outcome);
            }
          }
          expect(Buffer.compare(memory, expected)).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("with a hole in memory stop there, and finish when software goes on as the record says", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -0x1800, max: 0x1800 }),
        fc.integer({ min: 1, max: 0x3000 }),
        fc.integer({ min: 0, max: 0x2fff }),
        fc.boolean(),
        (distance, size, hole, shared) => {
          const dsa = new DsaFixture({ ats: true });
          dsa.writeConfig(0x156, 2, 0x8000);
          dsa.enable();
          // Separate pages, one of which is missing at first.
          const first = 0x9000_0000n;
          const pages = Array.from({ length: 8 }, (_, i) => first + BigInt(i * 0x1000));
          const missing = Math.floor(hole / 0x1000) + 1;
          const expected = new Uint8Array(8 * 0x1000).map((_, i) => (i * 31 + (i >> 8)) & 0xff);
          const memory = pages.map((page, i) => {
            const bytes = i === missing ? new Uint8Array(0x1000) : dsa.memory.map(page, 0x1000, { shared });
            bytes.set(expected.subarray(i * 0x1000, (i + 1) * 0x1000));
            return bytes;
          });
          const start = 0x2000;
          let fields = { source: first + BigInt(start), destination: first + BigInt(start + distance), size };
          expected.copyWithin(start + distance, start, start + size);

          const record = dsa.execute({ opcode: Opcode.memoryMove, ...fields });
          if (record.status !== Status.success) {
            expect(record.status & 0x3f).toBe(Status.pageFault);
            expect(record.faultAddress >> 12n).toBe((first + BigInt(missing * 0x1000)) >> 12n);
            const mapped = dsa.memory.map(pages[missing] as bigint, 0x1000);
            mapped.set(memory[missing] as Uint8Array);
            memory[missing] = mapped;
            const done = BigInt(record.completed);
            fields =
              record.result === 0
                ? {
                    source: fields.source + done,
                    destination: fields.destination + done,
                    size: size - record.completed,
                  }
                : { ...fields, size: size - record.completed };
            expect(dsa.execute({ opcode: Opcode.memoryMove, ...fields }).status).toBe(Status.success);
          }
          expect(Buffer.compare(Buffer.concat(memory), expected)).toBe(0);
        },
      ),
      { numRuns: 300, examples: [[0x800, 0x3000, 0x2800, true]] },
    );
  });

  it("are cut into slices of any size without a difference", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    const size = 0x20_0000 - 0x1_0000;
    const source = dsa.at(BASE + 0x1_0000n, size);
    source.set(source.map((_, i) => (i * 131) >> 3));
    const fields = { opcode: Opcode.copyWithCrc, source: BASE + 0x1_0000n, destination: DESTINATION + 1n, size };
    const crc = new Crc32c(0, { bypassInversion: false, bypassDataReflection: false });
    crc.update(source);
    expect(dsa.execute(fields)).toMatchObject({ status: Status.success, extra: crc.value });
    expect(Buffer.compare(dsa.at(DESTINATION + 1n, size), dsa.at(BASE + 0x1_0000n, size))).toBe(0);
  });
});

/** Small limits, so that no generated transfer takes long. */
const SMALL = [{ limits: 14 | (4 << 5) }];

describe("whatever software writes", () => {
  it("a descriptor of any bits ends in a record, an error, or nothing; and the next one works", () => {
    const interesting = fc.oneof(fc.constantFrom(0, 1, 0xff, 0x10, 0x80), fc.integer({ min: 0, max: 255 }));
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
      fc.array(interesting, { minLength: 64, maxLength: 64 }).map((values) => Uint8Array.from(values)),
      fc
        .record({
          opcode: fc.constantFrom(...Object.values(Opcode)),
          flags: fc.integer({ min: 0, max: 0xff_ffff }),
          completion: fc.constantFrom(RECORD, RECORD + 8n, 0n, 0xffff_ffff_ffff_ffe0n),
          source: fc.constantFrom(SOURCE, 0n, 0xffff_ffff_ffff_f001n),
          destination: fc.constantFrom(DESTINATION, SOURCE + 1n, 0xffff_ffff_ffff_ff00n),
          size: fc.constantFrom(0, 1, 2, 0x4000, 0x4001, 0xffff_ffff),
          handle: fc.constantFrom(0, 8, 9, 0xffff),
        })
        .map(descriptorBytes),
    );
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 1, maxLength: 8 }), fc.boolean(), (descriptors, ats) => {
        const dsa = new DsaFixture({ ats });
        if (ats) dsa.writeConfig(0x156, 2, 0x8000);
        dsa.enable(SMALL);
        for (const descriptor of descriptors) dsa.submit(descriptor);
        dsa.run(10_000);
        expect(dsa.interrupts.every((vector) => vector < DSA.msixVectors)).toBe(true);
        expect(dsa.execute({ opcode: Opcode.noop }).status).toBe(Status.success);
      }),
      { numRuns: 500 },
    );
  });

  it("every reserved bit set is refused, operation by operation", () => {
    const dsa = new DsaFixture();
    dsa.enable(SMALL);
    for (const code of Object.values(Opcode)) {
      const modelled = operationOf(code) !== undefined;
      const all = new Uint8Array(64).fill(0xff);
      all[7] = code;
      new DataView(all.buffer).setBigUint64(8, RECORD, true);
      dsa.at(RECORD, 32).fill(0);
      dsa.submit(all);
      dsa.run();
      const { status, extra } = dsa.record();
      expect([code, status]).toEqual([code, modelled ? Status.invalidFlags : Status.unsupportedOperation]);
      if (modelled) expect(extra & (Flag.fence | Flag.blockOnFault)).toBe(Flag.fence | Flag.blockOnFault);
    }
  });

  it("a batch that lists itself comes to an end", () => {
    const dsa = new DsaFixture();
    dsa.enable();
    const self = { opcode: Opcode.batch, source: SOURCE, size: 1024, flags: NOTIFY, completion: RECORD };
    for (let i = 0; i < 1024; i++) dsa.at(SOURCE + BigInt(i * 64), 64).set(descriptorBytes(self));
    expect(dsa.execute(self)).toMatchObject({ status: Status.batchFailure, completed: 1024 });
  });

  it("registers take any access, and a function level reset restores the device", () => {
    const access = fc.record({
      region: fc.constantFrom(PciRegion.bar0, PciRegion.bar0, PciRegion.bar2, PciRegion.config),
      offset: fc.oneof(fc.integer({ min: 0, max: 0x3ff }), fc.integer({ min: 0x400, max: 0xfff })),
      width: fc.constantFrom(1, 2, 4, 8, 64),
      value: fc.oneof(
        fc.constantFrom(0n, 1n, 3n, 0x11n, 0x3ffn, 0xffff_ffff_ffff_ffffn),
        fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      ),
    });
    const commands = fc.record({
      code: fc.constantFrom(...Object.values(Command), 0, 31),
      operand: fc.constantFrom(0, 1, 2, 0xff, 0xf_ffff),
    });
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 3, arbitrary: access }, { weight: 1, arbitrary: commands }), { maxLength: 60 }),
        (actions) => {
          const dsa = new DsaFixture({ ats: true, pasid: true, interruptHandles: true });
          dsa.enable(SMALL);
          for (const action of actions) {
            if ("code" in action) dsa.write32(0xa0, ((action.code << 20) | action.operand) >>> 0);
            else store(dsa, action.region, action.offset, action.width, action.value);
            dsa.run(10_000);
          }
          dsa.writeConfig(0x48, 2, 0x8000);
          dsa.memory.interrupts.length = 0;
          dsa.enable();
          expect(dsa.execute({ opcode: Opcode.noop }).status).toBe(Status.success);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Stores like the server: aligned accesses of 8 bytes and less, 4 in config space, and 64-byte stores. */
function store(dsa: DsaFixture, index: number, offset: number, width: number, value: bigint): void {
  const region = dsa.model.regions.get(index);
  if (region === undefined) throw new Error(`no region ${index}`);
  const aligned = offset - (offset % width);
  if (width === 64 && region.write64Bytes !== undefined) {
    region.write64Bytes(aligned, new Uint8Array(BigUint64Array.from({ length: 8 }, () => value).buffer));
  } else if (width >= 8 && region.write64 !== undefined && index !== PciRegion.config) {
    region.write64(aligned, value);
    region.read64?.(aligned);
  } else {
    const narrow = (width >= 4 ? 4 : width) as 1 | 2 | 4;
    region.write(aligned, narrow, Number(value & (narrow === 4 ? 0xffff_ffffn : narrow === 2 ? 0xffffn : 0xffn)));
    region.read(aligned, narrow);
  }
}
