import { errnoName } from "@vfio-selftests/core/errors";
import { type Field, type StructLayout, StructView } from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";

/** A request's number under the kernel's name: `{ VFIO_IOMMU_MAP_DMA }`. */
type NamedRequest = Readonly<Record<string, number>>;
type Fields = Readonly<Record<string, Field>>;

/** An address where no process has memory, for a request whose argument the kernel cannot read. */
export const NO_ADDRESS = 8;

/** A descriptor that the process does not have: EBADF. */
export const NO_FILE = 1_000_000;

const NOTHING = new Uint8Array(0);

/** The kernel's answer. */
export interface Answer {
  /** `ok`, or the errno's name. */
  readonly code: string;
  /** The ioctl's result or `-errno`. */
  readonly result: number;
  /** The structure as the kernel left it. */
  readonly view: StructView;
}

export interface AskOptions {
  /** The bytes behind the structure. */
  readonly data?: ArrayBufferView;
  /** Bytes of the argument. Default: the layout's and the data's. */
  readonly bytes?: number;
  /** The value of the first field (`argsz`, `size`). Default: `bytes`. */
  readonly said?: number;
  /** Pairs of the offset of a pointer, and the bytes to which it points. */
  readonly links?: readonly (number | Uint8Array)[];
}

/** Values of some fields; the others are 0. */
export type Values<Layout> =
  Layout extends StructLayout<infer Known> ? { readonly [Name in keyof Known]?: number | bigint } : never;

/** Makes an ioctl with the caller's structure, whatever nonsense it says. Only the kernel checks it. */
export function askKernel<const Known extends Fields>(
  file: KernelFileAccess,
  named: NamedRequest,
  layout: StructLayout<Known>,
  values: Values<StructLayout<Known>>,
  { data = NOTHING, bytes = layout.size + data.byteLength, said = bytes, links = [] }: AskOptions = {},
): Answer {
  const view = new StructView(bytes);
  view.u32[0] = said;
  // Fewer bytes than the layout's have no room behind the structure, not even for nothing.
  if (data.byteLength > 0) {
    view.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), layout.size);
  }
  setFields(layout, view, values);
  const [entry = ["no request", 0]] = Object.entries(named);
  const result = file.attempt({ name: entry[0], request: entry[1], argument: view.bytes, links });
  return { code: codeOf(result), result, view };
}

/** Makes an ioctl whose argument is a number or plain bytes. Returns `ok` or the errno's name. */
export function askPlainly(
  file: KernelFileAccess,
  named: NamedRequest,
  argument?: number | Uint8Array,
  links: readonly (number | Uint8Array)[] = [],
): string {
  return codeOf(resultOf(file, named, argument, links));
}

/** Does the same as {@link askPlainly}, and returns the result or `-errno`. */
export function resultOf(
  file: KernelFileAccess,
  named: NamedRequest,
  argument?: number | Uint8Array,
  links: readonly (number | Uint8Array)[] = [],
): number {
  const [entry = ["no request", 0]] = Object.entries(named);
  const [name, request] = entry;
  return file.attempt(argument === undefined ? { name, request } : { name, request, argument, links });
}

/** A result for an `expect`: itself, or the errno's name. */
export function outcome(result: number): number | string {
  return result < 0 ? errnoName(-result) : result;
}

/** `ok` for a result that is no error, else the errno's name. */
export function codeOf(result: number): string {
  return result < 0 ? errnoName(-result) : "ok";
}

/** The bytes of a structure with these values, for what follows another structure. */
export function bytesOf<const Known extends Fields>(
  layout: StructLayout<Known>,
  values: Values<StructLayout<Known>>,
): Uint8Array {
  const view = layout.allocate();
  setFields(layout, view, values);
  return view.bytes;
}

function setFields(layout: StructLayout<Fields>, view: StructView, values: object): void {
  for (const [name, value] of Object.entries(values) as [string, number | bigint][]) {
    const field = layout.fields[name];
    if (field === undefined) throw new RangeError(`the structure has no field ${name}`);
    if (field.width === 8) field.set(view, BigInt.asUintN(64, BigInt(value)));
    else field.set(view, Number(value));
  }
}
