/** Status codes by type (base 2.0c, figures 94 to 97, and NVM command set 1.0c, figures 13 and 14). Type 0 is generic. */
const STATUS_NAMES: readonly Readonly<Record<number, string>>[] = [
  {
    0x01: "invalid command opcode",
    0x02: "invalid field in command",
    0x03: "command id conflict",
    0x04: "data transfer error",
    0x05: "aborted because of power loss",
    0x06: "internal error",
    0x07: "abort requested",
    0x08: "aborted because the submission queue was deleted",
    0x0b: "invalid namespace or format",
    0x0c: "command sequence error",
    0x13: "invalid PRP offset",
    0x16: "operation denied",
    0x1c: "sanitize in progress",
    0x20: "namespace is write protected",
    0x22: "transient transport error",
    0x80: "LBA out of range",
    0x81: "capacity exceeded",
    0x82: "namespace not ready",
    0x83: "reservation conflict",
    0x84: "format in progress",
  },
  {
    0x00: "invalid completion queue",
    0x01: "invalid queue identifier",
    0x02: "invalid queue size",
    0x08: "invalid interrupt vector",
    0x82: "attempted write to read-only range",
  },
  {
    0x80: "write fault",
    0x81: "unrecovered read error",
    0x86: "access denied",
  },
];
const TYPES = ["generic", "command specific", "media"];

/** Whether a command's status says that DMA failed. */
export function isTransferError(status: number): boolean {
  return (status & 0x7ff) === 0x04;
}

/** A completion's status field (without the phase bit) in words: type, code, and whether a retry is of no use. */
export function statusText(status: number): string {
  const code = status & 0xff;
  const type = (status >>> 8) & 7;
  const name = STATUS_NAMES[type]?.[code] ?? "unknown";
  const finality = (status & 0x4000) === 0 ? "" : ", do not retry";
  return `0x${type}${code.toString(16).padStart(2, "0")} (${TYPES[type] ?? `type ${type}`}: ${name}${finality})`;
}
