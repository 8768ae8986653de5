import type { Bits, RegisterDeclaration, RegisterDeclarations } from "./declaration";

/** A register's place in the map. */
interface Placed {
  readonly label: string;
  readonly offset: number;
  readonly end: number;
}

const WIDTHS: readonly number[] = [1, 2, 4, 8];
const MASKS = ["readWrite", "writeOneToClear", "readToClear"] as const;

/** Throws when declarations contradict themselves or each other, so a mistake in a map shows before any access. */
export function checkDeclarations(map: string, size: number, declarations: RegisterDeclarations): void {
  if (!Number.isSafeInteger(size) || size <= 0) throw new RangeError(`register map ${map}: size ${size}`);
  const placed: Placed[] = [];
  for (const [name, declaration] of Object.entries(declarations)) {
    const problem = problemOf(declaration);
    if (problem !== undefined) throw new RangeError(`register map ${map}: ${name}: ${problem}`);
    placed.push(...places(name, declaration));
  }
  placed.sort((a, b) => a.offset - b.offset);
  placed.forEach((here, i) => {
    if (here.end > size) {
      throw new RangeError(`register map ${map}: ${here.label} ends at ${hex(here.end)}, the map at ${hex(size)}`);
    }
    const next = placed[i + 1];
    if (next !== undefined && next.offset < here.end) {
      throw new RangeError(`register map ${map}: ${here.label} and ${next.label} overlap at ${hex(next.offset)}`);
    }
  });
}

function problemOf(declaration: RegisterDeclaration): string | undefined {
  const { offset, bytes, repeat } = declaration;
  if (!WIDTHS.includes(bytes)) return `width of ${bytes} bytes; allowed: 1, 2, 4, 8`;
  if (!Number.isSafeInteger(offset) || offset < 0) return `offset ${offset}`;
  if (offset % bytes !== 0) return `offset ${hex(offset)} is not a multiple of its ${bytes} bytes`;
  const stride = repeat?.stride ?? bytes;
  if (repeat !== undefined && (!Number.isSafeInteger(repeat.count) || repeat.count < 1)) return `count ${repeat.count}`;
  if (stride < bytes || stride % bytes !== 0) return `stride of ${stride} bytes`;
  if (declaration.accessBytes?.length === 0) return "no access width";
  if (declaration.accessBytes?.some((width) => width > bytes) === true) return "an access width beyond its own";
  return problemOfBits(declaration);
}

function problemOfBits(declaration: RegisterDeclaration): string | undefined {
  const limit = 1n << BigInt(declaration.bytes * 8);
  for (const key of ["reset", ...MASKS, "sticky"] as const) {
    const bits: Bits = declaration[key] ?? 0;
    if (typeof bits === "number" && !Number.isSafeInteger(bits)) return `${key} ${bits} is no safe integer`;
    if (bits < 0 || BigInt(bits) >= limit) return `${key} ${hex(bits)} does not fit ${declaration.bytes} bytes`;
  }
  let seen = 0n;
  for (const key of MASKS) {
    const bits = BigInt(declaration[key] ?? 0);
    if ((bits & seen) !== 0n) return `${key} overlaps another mask in bits ${hex(bits & seen)}`;
    seen |= bits;
  }
  return undefined;
}

function places(name: string, { offset, bytes, repeat }: RegisterDeclaration): Placed[] {
  if (repeat === undefined) return [{ label: name, offset, end: offset + bytes }];
  const stride = repeat.stride ?? bytes;
  return Array.from({ length: repeat.count }, (_, i) => {
    const start = offset + i * stride;
    return { label: `${name}[${i}]`, offset: start, end: start + bytes };
  });
}

function hex(value: Bits): string {
  return `0x${value.toString(16)}`;
}
