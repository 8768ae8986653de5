const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** Bytes for people, in the largest unit that leaves a whole number: `128 KiB`. */
export function byteSize(bytes: bigint | number): string {
  let value = BigInt(bytes);
  let unit = 0;
  while (value !== 0n && value % 1024n === 0n && unit < UNITS.length - 1) {
    value /= 1024n;
    unit += 1;
  }
  return `${value} ${UNITS[unit] ?? ""}`;
}
