import type { StructLayout, StructView } from "@vfio-selftests/core/uapi";

/** An ioctl ready to be made. It is plain data, so it can go to another thread. */
export interface EncodedIoctl {
  /** The kernel's name for it, for errors. */
  readonly name: string;
  /** The ioctl's number. */
  readonly request: number;
  /** Bytes are passed by address, a number by value. */
  readonly argument?: Uint8Array | number;
  /** Pairs of an offset in the argument and bytes. The kernel finds the bytes' address at the offset. */
  readonly links?: readonly (number | Uint8Array)[];
}

/** An encoded ioctl whose argument the kernel changes. {@link StructIoctl.answer} reads it afterwards. */
export interface EncodedStruct extends EncodedIoctl {
  readonly argument: Uint8Array;
  /** The argument's fields. */
  readonly view: StructView;
}

/**
 * One ioctl with a structure as its argument: how to write a request into it, and how to read the kernel's answer. The
 * files in `requests/` declare each ioctl once, for the back ends and for other callers.
 */
export interface StructIoctl<Parameters extends readonly unknown[], Answer> {
  /** The kernel's name for it, for errors. */
  readonly name: string;
  /** The ioctl's number. */
  readonly request: number;
  /** Begins with its size in 32 bits (`argsz`, `size`), which `write` leaves alone. */
  readonly layout: StructLayout;
  /** Sets every field but the size. The view may hold an earlier request. */
  readonly write: (view: StructView, ...parameters: Parameters) => void;
  /** What of the structure is the kernel's answer. */
  readonly answer: (view: StructView) => Answer;
  /** How many bytes follow the structure. Default 0. */
  readonly extraBytes?: (...parameters: Parameters) => number;
  /** Bytes that pointers of the structure lead to. Default: none. */
  readonly links?: (...parameters: Parameters) => readonly (number | Uint8Array)[];
}

/** The number under its name, given as `{ VFIO_SET_IOMMU }`, so that the two stay together. */
type NamedRequest = Readonly<Record<string, number>>;

export function structIoctl<Parameters extends readonly unknown[], Answer>(
  named: NamedRequest,
  layout: StructLayout,
  rest: Pick<StructIoctl<Parameters, Answer>, "write" | "answer" | "extraBytes" | "links">,
): StructIoctl<Parameters, Answer> {
  return { ...nameAndNumber(named), layout, ...rest };
}

/** An ioctl without an argument, or with the caller's own. */
export function plainIoctl(named: NamedRequest, argument?: Uint8Array | number): EncodedIoctl {
  return argument === undefined ? nameAndNumber(named) : { ...nameAndNumber(named), argument };
}

/** The request's bytes, without the call: for tests that call the kernel in ways of their own. */
export function encodeIoctl<Parameters extends readonly unknown[]>(
  ioctl: StructIoctl<Parameters, unknown>,
  ...parameters: Parameters
): EncodedStruct {
  const { name, request, layout } = ioctl;
  const view = layout.allocate(ioctl.extraBytes?.(...parameters) ?? 0);
  view.u32[0] = view.bytes.length;
  ioctl.write(view, ...parameters);
  const links = ioctl.links?.(...parameters) ?? [];
  return { name, request, argument: view.bytes, view, ...(links.length === 0 ? {} : { links }) };
}

/** For ioctls whose only answer is their success. */
export function noAnswer(): void {
  // Nothing to read.
}

function nameAndNumber(named: NamedRequest): { name: string; request: number } {
  const entry = Object.entries(named)[0];
  if (entry === undefined) throw new RangeError("no request");
  return { name: entry[0], request: entry[1] };
}
