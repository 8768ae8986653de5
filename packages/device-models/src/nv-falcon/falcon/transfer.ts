import type { FalconRegisters, MemoryRegisters } from "../registers/bar0";
import { Dmatrfcmd } from "../registers/bar0";

/** A code transfer always moves a whole block (envytools, docs/hw/falcon/xfer.rst). */
const BLOCK_BYTES = 256;
const LARGEST_SIZE_CODE = 6;

/** One transfer between the falcon's memories and the outside, as DMATRFCMD asked for it. */
export interface Transfer {
  readonly imem: boolean;
  /** Out of DMEM. There is no transfer out of IMEM. */
  readonly store: boolean;
  readonly bytes: number;
  /** Outside: where memory of the host is meant, an I/O virtual address. A multiple of `bytes`. */
  readonly address: bigint;
  /** In IMEM or DMEM. */
  readonly local: number;
  /** Which of the eight FBIF_TRANSCFG applies. */
  readonly context: number;
}

/** What the registers ask for at a write of DMATRFCMD. Bits of an address below the transfer's size do not exist. */
export function requestedTransfer(falcon: FalconRegisters, memory: MemoryRegisters): Transfer {
  const { DMATRFCMD, DMATRFBASE, DMATRFBASE1, DMATRFFBOFFS, DMATRFMOFFS } = falcon.registers;
  const command = DMATRFCMD.value;
  const imem = (command & Dmatrfcmd.imem) !== 0;
  const code = Math.min((command & Dmatrfcmd.size) >>> 8, LARGEST_SIZE_CODE);
  const bytes = imem ? BLOCK_BYTES : 4 << code;
  const base =
    (BigInt(memory.registers.DMA_ADDR_TOP_BITS.value) << 47n) |
    (BigInt(DMATRFBASE1.value) << 40n) |
    (BigInt(DMATRFBASE.value) << 8n);
  return {
    imem,
    store: !imem && (command & Dmatrfcmd.write) !== 0,
    bytes,
    address: BigInt.asUintN(64, base + BigInt(DMATRFFBOFFS.value)) & ~BigInt(bytes - 1),
    local: DMATRFMOFFS.value,
    context: (command & Dmatrfcmd.context) >>> 12,
  };
}
