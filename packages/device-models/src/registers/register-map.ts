import type { RegisterDeclaration, RegisterDeclarations } from "./declaration";
import { checkDeclarations } from "./declaration-checks";

/** A checked set of declarations for a device's address range. State lives in a `RegisterFile`. */
export interface RegisterMap<D extends RegisterDeclarations = RegisterDeclarations> {
  /** The range's name in errors: `plx-dma BAR 0`. */
  readonly name: string;
  /** Bytes of the range. */
  readonly size: number;
  /** The registers by their names. */
  readonly declarations: D;
}

/**
 * Checks the declarations (bounds, alignment, overlaps, masks against widths). Throws RangeError when they are wrong.
 */
export function registerMap<const D extends RegisterDeclarations>(
  name: string,
  size: number,
  declarations: D,
): RegisterMap<D> {
  checkDeclarations(name, size, declarations);
  return { name, size, declarations };
}

/** Offsets of all places of one declaration. */
export function offsetsOf({ offset, bytes, repeat }: RegisterDeclaration): number[] {
  const stride = repeat?.stride ?? bytes;
  return Array.from({ length: repeat?.count ?? 1 }, (_, i) => offset + i * stride);
}
