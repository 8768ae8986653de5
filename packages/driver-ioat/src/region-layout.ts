/** The driver's DMA region, in bytes from its start. */
export const Layout = {
  /** One descriptor, linked to itself; DMACOUNT says how often the device executes it. Aligned to 64 bytes. */
  descriptor: 0,
  /** Completion word, in a cache line of its own. */
  completion: 64,
  /** What `sendMsi` copies: 8 bytes each. */
  msiSource: 128,
  msiDestination: 136,
  size: 192,
} as const;

/** Fields of the descriptor, in bytes. */
export const Descriptor = { size: 0, control: 4, source: 8, destination: 16, next: 24 } as const;
