/** An MCTP packet that is a whole message (the kernel's drivers/gpu/nova-core/mctp.rs). */
const MCTP_WHOLE = 0xc000_0000;
const VENDOR_DEFINED = 0x7e;
const NVIDIA = 0x10de;

/** What a message of NVIDIA is about (NVDM type). */
export const NvdmType = { response: 0x15, fbdma: 0x22 } as const;
const FBDMA_ENABLE = 1;

/** Errors of an answer. Their numbers are chosen: no public source has those of FSP. */
export const FspError = { none: 0, malformed: 1, unknown: 2 } as const;

export interface FspAnswer {
  readonly words: readonly number[];
  /** Host software may use OFA's DMA engine from now on. */
  readonly enablesDma: boolean;
}

/** What FSP answers: MCTP header, message header, a status word, the type of the message, the error. */
export function answerTo([mctp = 0, header = 0, command]: readonly number[]): FspAnswer {
  const type = header >>> 24;
  const isNvidias = mctp >>> 0 === MCTP_WHOLE && (header & 0x7f) === VENDOR_DEFINED && vendorOf(header) === NVIDIA;
  const enablesDma = isNvidias && type === NvdmType.fbdma && command === FBDMA_ENABLE;
  const error = enablesDma ? FspError.none : isNvidias ? FspError.unknown : FspError.malformed;
  const answerHeader = (VENDOR_DEFINED | (NVIDIA << 8) | (NvdmType.response << 24)) >>> 0;
  return { words: [MCTP_WHOLE, answerHeader, 0, type, error], enablesDma };
}

function vendorOf(header: number): number {
  return (header >>> 8) & 0xffff;
}
