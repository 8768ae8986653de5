import type { Capabilities } from "../../protocol/capabilities";

/** Where a client needs something else than the specification says. */
export interface ClientQuirks {
  /** Its DMA_READ and DMA_WRITE may have a count of 32 bits: only asking tells. */
  readonly mayHaveNarrowCount: boolean;
  /** It passes a failed access on to a guest's IOMMU, which reports it to the guest: it wants to hear of each. */
  readonly hearsFaults: boolean;
}

const NONE: ClientQuirks = { mayHaveNarrowCount: false, hearsFaults: false };
const QEMU: ClientQuirks = { mayHaveNarrowCount: true, hearsFaults: true };

/**
 * Recognises QEMU (10.1 to 11.1) by what it proposes: `write_multiple`, which only QEMU and this package's client do,
 * without a twin socket, which this package's client asks for. SPDK proposes nothing; rust-vmm (cloud-hypervisor) and
 * libvfio-user's sample know neither name. Those clients serve no DMA messages that they did not expect, and would take
 * one for a reply.
 */
export function quirksOf({ writeMultiple, twinSocket }: Capabilities): ClientQuirks {
  return writeMultiple && twinSocket === undefined ? QEMU : NONE;
}
