import type { StructLayout, StructView } from "@vfio-selftests/core/uapi";

/** An ioctl ready to be made. Plain data: it can go to another thread. */
export interface EncodedIoctl {
  /** As the kernel spells it, for errors. */
  readonly name: string;
  readonly request: number;
  /** Bytes are passed by address, a number by value. */
  readonly argument?: Uint8Array | number;
  /** Pairs of an offset in the argument and the bytes whose address the kernel finds there. */
  readonly links?: readonly (number | Uint8Array)[];
}

/** An encoded ioctl whose argument the kernel changes; {@link StructIoctl.answer} reads it afterwards. */
export interface EncodedStruct extends EncodedIoctl {
  readonly argument: Uint8Array;
  readonly view: StructView;
}

/**
 * One ioctl with a structure as its argument: how a request is written into it, and how the kernel's answer is read. The
 * files in `requests/` declare each ioctl once, for the back ends and for those who make it themselves.
 */
export interface StructIoctl<Parameters extends readonly unknown[], Answer> {
  readonly name: string;
  readonly request: number;
  /** Begins with its size in 32 bits (`argsz`, `size`), which is not `write`'s business. */
  readonly layout: StructLayout;
  /** Sets every field but the size; the view may hold an earlier request. */
  readonly write: (view: StructView, ...parameters: Parameters) => void;
  readonly answer: (view: StructView) => Answer;
  /** Bytes behind the structure. Default 0. */
  readonly extraBytes?: (...parameters: Parameters) => number;
  readonly links?: (...parameters: Parameters) => readonly (number | Uint8Array)[];
}

/** The number under its name, given as `{ VFIO_SET_IOMMU }`, so that the two cannot part. */
type NamedRequest = Readonly<Record<string, number>>;

export function structIoctl<Parameters extends readonly unknown[], Answer>(
  named: NamedRequest,
  layout: StructLayout,
  rest: Pick<StructIoctl<Parameters, Answer>, "write" | "answer" | "extraBytes" | "links">,
): StructIoctl<Parameters, Answer> {
  return { ...nameAndNumber(named), layout, ...rest };
}

/** An ioctl without an argument, or with one of the caller's making. */
export function plainIoctl(named: NamedRequest, argument?: Uint8Array | number): EncodedIoctl {
  return argument === undefined ? nameAndNumber(named) : { ...nameAndNumber(named), argument };
}

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

/** For ioctls that answer nothing but their success. */
export function noAnswer(): void {
  // Nothing to read.
}

function nameAndNumber(named: NamedRequest): { name: string; request: number } {
  const entry = Object.entries(named)[0];
  if (entry === undefined) throw new RangeError("no request");
  return { name: entry[0], request: entry[1] };
}
