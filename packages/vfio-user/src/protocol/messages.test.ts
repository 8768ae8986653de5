import fc from "fast-check";
import type { Field } from "@vfio-selftests/core/uapi";
import type { Shape } from "./commands";
import { commandName, commandOf, Commands } from "./commands";
import { HEADER_SIZE, MAX_MESSAGE_SIZE } from "./limits";
import { MessageBuffer } from "./message-buffer";
import { shapeError } from "./shape";
import * as structs from "./structs";

const shapes: (readonly [string, Shape])[] = Object.entries(Commands).flatMap(([name, { request, reply }]) => [
  [`${name} request`, request] as const,
  [`${name} reply`, reply] as const,
]);

const buffer = new MessageBuffer(MAX_MESSAGE_SIZE);

function maximum(field: Field): bigint {
  return 2n ** BigInt(field.width * 8) - 1n;
}

function setField(field: Field, value: bigint): void {
  if (field.width === 8) field.set(buffer.body, value);
  else field.set(buffer.body, Number(value));
}

function getField(field: Field): bigint {
  return BigInt(field.get(buffer.body));
}

/** Sets the count field of `shape` to a fitting value. Returns how many bytes of tail that allows. */
function makeTail(shape: Shape, want: number): number {
  const { tail } = shape;
  if (tail.kind === "none") return 0;
  if (tail.kind === "ignored") return want;
  const count = want % (Math.min(tail.max, 300) + 1);
  if (tail.kind === "open") return count;
  setField(tail.field, BigInt(count));
  return count * tail.size;
}

test("the layouts have the specification's sizes and offsets", () => {
  const offsets = (layout: { size: number; fields: Readonly<Record<string, Field>> }) => [
    layout.size,
    ...Object.values(layout.fields).map(({ offset, width }) => `${offset}+${width}`),
  ];
  expect(offsets(structs.header)).toEqual([16, "0+2", "2+2", "4+4", "8+4", "12+4"]);
  expect(offsets(structs.version)).toEqual([4, "0+2", "2+2"]);
  expect(offsets(structs.dma_map)).toEqual([32, "0+4", "4+4", "8+8", "16+8", "24+8"]);
  expect(offsets(structs.dma_unmap)).toEqual([24, "0+4", "4+4", "8+8", "16+8"]);
  expect(offsets(structs.device_info)).toEqual([16, "0+4", "4+4", "8+4", "12+4"]);
  expect(offsets(structs.region_info)).toEqual([32, "0+4", "4+4", "8+4", "12+4", "16+8", "24+8"]);
  expect(offsets(structs.region_io_fds)).toEqual([16, "0+4", "4+4", "8+4", "12+4"]);
  expect(offsets(structs.irq_info)).toEqual([16, "0+4", "4+4", "8+4", "12+4"]);
  expect(offsets(structs.irq_set)).toEqual([20, "0+4", "4+4", "8+4", "12+4", "16+4"]);
  expect(offsets(structs.region_access)).toEqual([16, "0+8", "8+4", "12+4"]);
  expect(offsets(structs.dma_access)).toEqual([16, "0+8", "8+8"]);
  expect(offsets(structs.dma_access_qemu)).toEqual([12, "0+8", "8+4"]);
  expect(offsets(structs.write_multi)).toEqual([8, "0+8"]);
  expect(offsets(structs.write_one)).toEqual([24, "0+8", "8+4", "12+4", "16+8"]);
  expect(offsets(structs.device_feature)).toEqual([8, "0+4", "4+4"]);
  expect(offsets(structs.mig_data)).toEqual([8, "0+4", "4+4"]);
});

test("commands are found by number, and unknown ones have a name too", () => {
  for (const [name, { number }] of Object.entries(Commands)) expect(commandOf(number)?.name).toBe(name);
  expect(commandOf(0)).toBeUndefined();
  expect(commandOf(19)).toBeUndefined();
  expect(commandName(3)).toBe("VFIO_USER_DMA_UNMAP");
  expect(commandName(999)).toBe("vfio-user command 999");
});

test("a header comes back as it was written", () => {
  const u16 = fc.integer({ min: 0, max: 0xffff });
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(u16, u16, u32, fc.integer({ min: 0, max: 1000 }), u32, (id, command, flags, length, error) => {
      buffer.setHeader(id, command, flags, length, error);
      expect(buffer).toMatchObject({ id, command, flags, size: HEADER_SIZE + length, error });
      expect(buffer.message().length).toBe(HEADER_SIZE + length);
      // Little endian on the wire, as on every machine that runs this.
      expect(new DataView(buffer.bytes.buffer).getUint16(2, true)).toBe(command);
    }),
  );
});

describe.each(shapes)("%s", (_name, shape) => {
  const fields = Object.values(shape.fixed.fields);

  test("every field holds any value of its width, and a fitting tail is accepted", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { minLength: 8, maxLength: 8 }), fc.nat(), (values, want) => {
        const given = fields.map((field, i) => (values[i] ?? 0n) & maximum(field));
        fields.forEach((field, i) => setField(field, given[i] ?? 0n));
        fields.forEach((field, i) => expect(getField(field)).toBe(given[i]));
        const length = shape.fixed.size + makeTail(shape, want);
        expect(shapeError(shape, buffer.body, length)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  test("a body too short, or too long where length matters, is refused", () => {
    const length = shape.fixed.size + makeTail(shape, 5);
    if (shape.fixed.size > 0) expect(shapeError(shape, buffer.body, shape.fixed.size - 1)).toMatch(/needs/);
    if (shape.tail.kind === "ignored") return;
    if (shape.tail.kind !== "open") {
      expect(shapeError(shape, buffer.body, length + 1)).toMatch(/needs|must have|allowed/);
    } else {
      expect(shapeError(shape, buffer.body, shape.fixed.size + shape.tail.max + 1)).toMatch(/allowed/);
    }
  });

  test("garbage is accepted or refused, never a crash, and a count that is accepted is true", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), fc.nat(300), (garbage, length) => {
        buffer.body.bytes.fill(0, 0, 512);
        buffer.body.bytes.set(garbage);
        const error = shapeError(shape, buffer.body, length);
        const { tail } = shape;
        if (error === undefined && tail.kind === "counted") {
          expect(shape.fixed.size + Number(getField(tail.field)) * tail.size).toBe(length);
        }
      }),
    );
  });
});
