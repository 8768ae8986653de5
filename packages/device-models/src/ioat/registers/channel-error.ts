/** Bits of CHANERR, CHANERRMSK and CHANERR_INT (Xeon E7 v2 datasheet, volume 2, section 14.5). */
export const ChannelError = {
  sourceAddress: 0x0000_0001,
  destinationAddress: 0x0000_0002,
  /** Next descriptor: unreachable or not on 64 bytes. */
  nextDescriptorAddress: 0x0000_0004,
  /** The descriptor could not be read for another reason. */
  descriptor: 0x0000_0008,
  /** CHAINADDR: unreachable or not on 64 bytes. */
  chainAddressValue: 0x0000_0010,
  /** More than one bit in CHANCMD, or a reserved one. */
  channelCommand: 0x0000_0020,
  chipsetDataParity: 0x0000_0040,
  dmaDataParity: 0x0000_0080,
  readData: 0x0000_0100,
  writeData: 0x0000_0200,
  descriptorControl: 0x0000_0400,
  descriptorLength: 0x0000_0800,
  completionAddress: 0x0000_1000,
  interruptConfiguration: 0x0000_2000,
  unaffiliated: 0x0000_8000,
  xorPOrCrc: 0x0001_0000,
  xorQ: 0x0002_0000,
  descriptorCount: 0x0004_0000,
} as const;

export const ALL_CHANNEL_ERRORS = Object.values(ChannelError).reduce((all, bit) => all | bit, 0);
