/** One message of the kernel's log, as /dev/kmsg gives it (Documentation/ABI/testing/dev-kmsg). */
export interface KernelRecord {
  /** Grows by one with each message since boot: a gap means that messages were overwritten. */
  readonly sequence: number;
  /** 0 is the kernel itself. The kernel lets no user-space program claim it (`devkmsg_write` in kernel/printk/printk.c). */
  readonly facility: number;
  readonly text: string;
}

/** `priority,sequence,microseconds,flags[,…];text`; lines that begin with a space are the record's dictionary. */
const RECORD = /^(\d+),(\d+),\d+,[^;]*;(.*)$/;

/** Bits of the priority below the facility: the level (LOG_FACILITY of syslog). */
const LEVEL_BITS = 3;

/** The records in a text that was read, without their dictionaries (which name the device of a message). */
export function parseRecords(read: string): KernelRecord[] {
  return read.split("\n").flatMap((line) => {
    const [, priority, sequence, text] = RECORD.exec(line) ?? [];
    if (priority === undefined || sequence === undefined || text === undefined) return [];
    return [{ sequence: Number(sequence), facility: Number(priority) >> LEVEL_BITS, text: unescape(text) }];
  });
}

/** The kernel writes a backslash, control characters and bytes beyond ASCII as \xNN (`msg_add_ext_text`). */
function unescape(text: string): string {
  if (!text.includes("\\x")) return text;
  const bytes = text.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
