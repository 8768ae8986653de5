/**
 * The registers of the Intel 82576 that the driver uses: byte offsets in BAR 0, all 32 bits wide (82576EB datasheet,
 * section 8; drivers/net/ethernet/intel/igb/e1000_regs.h and e1000_defines.h).
 */
export const Reg = {
  CTRL: 0x0000,
  STATUS: 0x0008,
  EECD: 0x0010,
  CTRL_EXT: 0x0018,
  MDIC: 0x0020,
  IMC: 0x00d8,
  RCTL: 0x0100,
  TCTL: 0x0400,
  GPIE: 0x1514,
  EICS: 0x1520,
  EIMS: 0x1524,
  EIMC: 0x1528,
  EIAC: 0x152c,
  EIAM: 0x1530,
  EICR: 0x1580,
  IVAR0: 0x1700,
  RDBAL: 0x2800,
  RDBAH: 0x2804,
  RDLEN: 0x2808,
  SRRCTL: 0x280c,
  RDH: 0x2810,
  RDT: 0x2818,
  RXDCTL: 0x2828,
  TDBAL: 0x3800,
  TDBAH: 0x3804,
  TDLEN: 0x3808,
  TDH: 0x3810,
  TDT: 0x3818,
  TXDCTL: 0x3828,
  GCR: 0x5b00,
} as const;

export const Ctrl = {
  FD: 1 << 0,
  /** The device starts no more requests on the bus. */
  GIO_MASTER_DISABLE: 1 << 2,
  SLU: 1 << 6,
  SPEED_MASK: 3 << 8,
  SPEED_1000: 2 << 8,
  FRCSPD: 1 << 11,
  FRCDPX: 1 << 12,
  RST: 1 << 26,
} as const;

export const Status = {
  LU: 1 << 1,
  /** Clear once the master is disabled and its last request has ended. */
  GIO_MASTER_ENABLE: 1 << 19,
} as const;
/**
 * The device has read its configuration from the EEPROM, or found none (datasheet, section 8.2.3). Hardware always sets
 * it after a reset, QEMU never.
 */
export const Eecd = { AUTO_RD: 1 << 9 } as const;
export const CtrlExt = { LINK_MODE_MASK: 3 << 22, DRV_LOAD: 1 << 28 } as const;
/** Resend a request whose completion timed out. A faulting read would then repeat for ever. */
export const Gcr = { CMPL_TMOUT_RESEND: 1 << 16 } as const;

export const Mdic = {
  REGISTER_SHIFT: 16,
  PHY_ADDRESS_1: 1 << 21,
  OP_WRITE: 1 << 26,
  READY: 1 << 28,
  ERROR: 1 << 30,
} as const;

/** The PHY's control register (IEEE 802.3, clause 22.2.4.1). */
export const Bmcr = {
  register: 0,
  AUTONEGOTIATE: 1 << 12,
  RESTART_AUTONEGOTIATION: 1 << 9,
  LOOPBACK: 1 << 14,
  FULL_DUPLEX: 1 << 8,
  SPEED_1000: 1 << 6,
} as const;

export const Rctl = {
  EN: 1 << 1,
  /** Unicast and multicast promiscuous: the frame's first bytes are data, not an address. */
  UPE: 1 << 3,
  MPE: 1 << 4,
  /** MAC loopback. QEMU looks at this bit; hardware loops in the PHY. */
  LBM_MAC: 1 << 6,
  BAM: 1 << 15,
  /** Strip the frame's checksum. */
  SECRC: 1 << 26,
} as const;

export const Tctl = { EN: 1 << 1, PSP: 1 << 3 } as const;
/** In TXDCTL and RXDCTL. */
export const QUEUE_ENABLE = 1 << 25;
/**
 * SRRCTL: advanced descriptors whose header buffer is always used. The first 64 bytes of each frame go there, the rest
 * to the packet buffer of 2 KiB (datasheet section 7.1.5.3, "split always").
 */
export const SRRCTL_SPLIT_ALWAYS = (5 << 25) | (64 << 2) | 2;
/** GPIE: MSI-X mode, with causes that mask and clear themselves. */
export const Gpie = { MSIX_MODE: 1 << 4, EIAME: 1 << 30 } as const;
/** IVAR0: frames of the first receive queue raise a vector; the low bits are its number. */
export const IVAR0_RX0_VALID = 1 << 7;

/** Advanced transmit data descriptor, 16 bytes: word 2 (datasheet section 7.2.2.3). */
export const TxCommand = {
  DTYP_DATA: 3 << 20,
  EOP: 1 << 24,
  IFCS: 1 << 25,
  DEXT: 1 << 29,
} as const;
export const TX_PAYLOAD_SHIFT = 14;
/** Advanced receive descriptor as written back: descriptor done, in word 2. */
export const RX_DESCRIPTOR_DONE = 1 << 0;
/**
 * Words of a descriptor that the receiver wrote back: status and errors, then bytes in the packet buffer (low half).
 */
export const RxWriteBack = { statusWord: 2, lengthWord: 3 } as const;
/** Error bits of the receive status word (datasheet section 7.1.5.2): RXE. */
export const RX_ERROR = 0x80000000;
export const DESCRIPTOR_SIZE = 16;
