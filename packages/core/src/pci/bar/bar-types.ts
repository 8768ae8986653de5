import type { ConfigSpace } from "../config/config-space";
import { PciBar, PciConfig } from "../config/registers";

/** BARs of a type 0 header. */
export const BAR_COUNT = 6;

/** The meaning of a base address register (PCI 3.0, section 6.2.5.1). */
export interface BarType {
  /** `none`: not implemented, or the upper half of a 64-bit BAR. */
  readonly kind: "memory" | "io" | "none";
  /** Whether the next BAR holds the upper half of the address. */
  readonly is64Bit: boolean;
  /** Whether reads have no side effects, so that a bridge may read ahead. */
  readonly prefetchable: boolean;
}

/** The meaning of the six base address registers. `sizes` are the regions' (0: not implemented). */
export function readBarTypes(config: ConfigSpace, sizes: readonly number[]): BarType[] {
  const types: BarType[] = [];
  // One read of all: each is a system call, or a message.
  const registers = new DataView(config.bytes(PciConfig.bar0, 4 * BAR_COUNT).buffer);
  for (let index = 0; index < BAR_COUNT; index++) {
    const below = types.at(-1);
    if (below?.is64Bit === true && below.kind === "memory") {
      types.push({ kind: "none", is64Bit: true, prefetchable: false });
      continue;
    }
    const register = registers.getUint32(4 * index, true);
    if ((sizes[index] ?? 0) === 0) {
      types.push({ kind: "none", is64Bit: false, prefetchable: false });
    } else if ((register & PciBar.io) !== 0) {
      types.push({ kind: "io", is64Bit: false, prefetchable: false });
    } else {
      types.push({
        kind: "memory",
        is64Bit: (register & PciBar.typeMask) === PciBar.type64,
        prefetchable: (register & PciBar.prefetchable) !== 0,
      });
    }
  }
  return types;
}
