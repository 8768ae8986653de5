import { ChannelError } from "../registers/channel-error";

export const DESCRIPTOR_BYTES = 64;
/** Offset of the next pointer. */
export const NEXT_OFFSET = 24;

/** Control bits of a descriptor (the dword at byte 4, whose top byte is the operation). */
export const Control = {
  interrupt: 0x001,
  sourceSnoopDisable: 0x002,
  destinationSnoopDisable: 0x004,
  completionWrite: 0x008,
  fence: 0x010,
  /** The device moves nothing, but still writes the completion and interrupts. */
  null: 0x020,
  sourcePageBreak: 0x040,
  destinationPageBreak: 0x080,
  bundle: 0x100,
  destinationDca: 0x200,
  hint: 0x400,
} as const;

export const Operation = { copy: 0x00, fill: 0x01 } as const;

/** The control bits that each operation allows. Any other bit, or another operation, is a control error. */
export const OPERATIONS: readonly { readonly operation: number; readonly control: number }[] = [
  { operation: Operation.copy, control: 0x7ff },
  {
    operation: Operation.fill,
    control:
      Control.interrupt |
      Control.destinationSnoopDisable |
      Control.completionWrite |
      Control.fence |
      Control.destinationPageBreak |
      Control.bundle,
  },
];

export interface Descriptor {
  /** Bytes to move. */
  readonly size: number;
  readonly control: number;
  readonly operation: number;
  /** Source address; for a fill, the eight bytes to repeat. */
  readonly source: bigint;
  readonly destination: bigint;
  readonly next: bigint;
}

/** Reads the 64 bytes as the hardware does, little endian. Copy and fill ignore bytes 32 and up. */
export function decodeDescriptor(bytes: DataView): Descriptor {
  const control = bytes.getUint32(4, true);
  return {
    size: bytes.getUint32(0, true),
    control: control & 0xff_ffff,
    operation: control >>> 24,
    source: bytes.getBigUint64(8, true),
    destination: bytes.getBigUint64(16, true),
    next: bytes.getBigUint64(NEXT_OFFSET, true),
  };
}

/** The 64 bytes that {@link decodeDescriptor} reads. */
export function encodeDescriptor(descriptor: Descriptor): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(DESCRIPTOR_BYTES));
  bytes.setUint32(0, descriptor.size, true);
  bytes.setUint32(4, descriptor.control | (descriptor.operation << 24), true);
  bytes.setBigUint64(8, descriptor.source, true);
  bytes.setBigUint64(16, descriptor.destination, true);
  bytes.setBigUint64(NEXT_OFFSET, descriptor.next, true);
  return new Uint8Array(bytes.buffer);
}

const ADDRESS_SPACE_END = 1n << 64n;

/** The error in the descriptor itself; 0 if it may run. `maximumSize` is 2^XFERCAP. */
export function descriptorError(descriptor: Descriptor, maximumSize: number): number {
  const { size, control, operation, source, destination } = descriptor;
  const known = OPERATIONS.find((entry) => entry.operation === operation);
  if (known === undefined || (control & ~known.control) !== 0) return ChannelError.descriptorControl;
  // This includes a null descriptor: the kernel's driver gives those a size because the channel refuses 0.
  if (size === 0 || size > maximumSize) return ChannelError.descriptorLength;
  if ((control & Control.null) !== 0) return 0;
  const bytes = BigInt(size);
  if (operation === Operation.copy && source + bytes > ADDRESS_SPACE_END) return ChannelError.sourceAddress;
  if (destination + bytes > ADDRESS_SPACE_END) return ChannelError.destinationAddress;
  return 0;
}
