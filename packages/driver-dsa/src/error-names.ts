/** Operation status codes, and errors of SWERROR (architecture specification 341204, tables 5-6 and 5-7). */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  0x01: "success",
  0x02: "success with false predicate",
  0x03: "page fault",
  0x04: "page request failed",
  0x05: "a member of the batch failed",
  0x06: "page fault on the descriptor list",
  0x10: "unsupported operation",
  0x11: "invalid flags",
  0x12: "reserved field not zero",
  0x13: "invalid transfer size",
  0x14: "invalid descriptor count",
  0x16: "overlapping buffers",
  0x18: "misaligned descriptor list",
  0x19: "invalid interrupt handle",
  0x1a: "page fault on the completion record",
  0x1b: "misaligned completion record",
  0x1d: "privilege not allowed",
  0x1e: "traffic class not configured",
  0x20: "memory read refused or failed",
  0x21: "memory write refused or failed",
  0x22: "address translation failed",
  0x51: "PCI configuration changed while enabled",
  0x52: "command written while another was active",
  0x53: "work queue full",
  0x54: "event log full",
};

/** Error codes of CMDSTATUS (section 9.2.13 and table 5-8), of the commands that the driver uses. */
const COMMAND_ERROR_NAMES: Readonly<Record<number, string>> = {
  0x01: "unsupported command",
  0x02: "invalid work queue",
  0x03: "hardware error",
  0x04: "reserved field not zero",
  0x05: "device halted",
  0x10: "device not disabled",
  0x11: "configuration error",
  0x12: "bus mastering is off",
  0x14: "work queues larger than the storage",
  0x15: "group without queues or engines",
  0x16: "wrong queues in a group",
  0x17: "wrong engines in a group",
  0x18: "wrong read buffers",
  0x1a: "wrong ATS setting for this platform",
  0x20: "device not enabled",
  0x21: "work queue not disabled",
  0x22: "work queue of size 0",
  0x24: "work queue mode not supported",
  0x26: "wrong PASID setting",
  0x27: "wrong maximum batch size",
  0x28: "wrong maximum transfer size",
  0x2c: "ATS cannot be disabled",
  0x2d: "operations not supported",
};

export function statusName(status: number): string {
  return withName(status, STATUS_NAMES);
}

export function commandErrorName(error: number): string {
  return withName(error, COMMAND_ERROR_NAMES);
}

function withName(code: number, names: Readonly<Record<number, string>>): string {
  return `0x${code.toString(16).padStart(2, "0")} (${names[code] ?? "unknown"})`;
}
