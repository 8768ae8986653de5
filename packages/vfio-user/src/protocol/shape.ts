import type { StructView } from "@vfio-selftests/core/uapi";
import type { Shape } from "./commands";

/**
 * Checks that a body of `length` bytes (its fields in `body`) has the shape that the protocol demands. Undefined if it
 * has; otherwise what is wrong, for people.
 */
export function shapeError(shape: Shape, body: StructView, length: number): string | undefined {
  const { fixed, tail } = shape;
  if (length < fixed.size) return `body of ${length} bytes; it needs at least ${fixed.size}`;
  const tailLength = length - fixed.size;
  if (tail.kind === "none") {
    if (tailLength !== 0) return `body of ${length} bytes; it must have exactly ${fixed.size}`;
  } else if (tail.kind === "open") {
    if (tailLength > tail.max) return `${tailLength} bytes behind the fields; at most ${tail.max} are allowed`;
  } else if (tail.kind === "counted") {
    const { field } = tail;
    const count = field.width === 8 ? field.getNumber(body) : field.get(body);
    if (count > tail.max) return `a count of ${count}; at most ${tail.max} is allowed`;
    if (count * tail.size !== tailLength)
      return `${tailLength} bytes behind the fields; a count of ${count} needs ${count * tail.size}`;
  }
  return undefined;
}
