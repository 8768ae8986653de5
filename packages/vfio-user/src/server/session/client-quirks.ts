import type { Capabilities } from "../../protocol/capabilities";

/** How a client differs from the specification. */
export interface ClientQuirks {
  /** Its DMA_READ and DMA_WRITE may have a 32-bit count. Only asking tells. */
  readonly mayHaveNarrowCount: boolean;
  /** It passes a failed access on to a guest's IOMMU, which reports it to the guest. So it must hear of each. */
  readonly hearsFaults: boolean;
}

const NONE: ClientQuirks = { mayHaveNarrowCount: false, hearsFaults: false };
const QEMU: ClientQuirks = { mayHaveNarrowCount: true, hearsFaults: true };

/**
 * Recognises QEMU (10.1 to 11.1) by what it proposes. It proposes `write_multiple`, which otherwise only this package's
 * client does, and no twin socket, which this package's client asks for. SPDK proposes nothing; rust-vmm
 * (cloud-hypervisor) and libvfio-user's sample know neither name. Those clients serve no DMA messages that they did not
 * expect, and would take one for a reply.
 */
export function quirksOf({ writeMultiple, twinSocket }: Capabilities): ClientQuirks {
  return writeMultiple && twinSocket === undefined ? QEMU : NONE;
}
