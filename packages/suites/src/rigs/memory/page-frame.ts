import { closeSync, openSync, readSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { PAGE_SIZE } from "./page-size";

/** Bits 0 to 54 of an entry are the page's number (Documentation/admin-guide/mm/pagemap.rst). */
const FRAME = (1n << 55n) - 1n;

/** The number of the page of physical memory behind an address of this process, as /proc tells root. */
export function pageFrame(address: bigint): bigint {
  const file = openSync(systemPaths.proc("self", "pagemap"), "r");
  try {
    const entry = new BigUint64Array(1);
    readSync(file, entry, 0, 8, (address / BigInt(PAGE_SIZE)) * 8n);
    const frame = (entry[0] ?? 0n) & FRAME;
    expect(frame).not.toBe(0n);
    return frame;
  } finally {
    closeSync(file);
  }
}
