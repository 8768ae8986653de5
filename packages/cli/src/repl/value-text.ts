import { inspect } from "node:util";
import { VfioError } from "@vfio-selftests/core/errors";

/** What a line gave, for people: whole numbers in both bases, errors of ours without a stack. */
export function valueText(value: unknown, colors = false): string {
  if (value instanceof VfioError) return `${value.code}: ${value.message}`;
  if (typeof value === "bigint" && value >= 0n) return `${value}n (0x${value.toString(16)})`;
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 9)
    return `${value} (0x${value.toString(16)})`;
  return inspect(value, { colors, depth: 1 });
}
