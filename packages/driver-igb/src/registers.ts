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
  MRQC: 0x5818,
  VT_CTL: 0x581c,
  GCR: 0x5b00,
  MBVFICR: 0x0c80,
  VFLRE: 0x0c88,
  VFRE: 0x0c8c,
  VFTE: 0x0c90,
  DTXSWC: 0x3500,
} as const;

/** Registers of which there is one for each queue, by their offset for the first: the receiver's and the transmitter's. */
const RX_BASE = Reg.RDBAL;
const TX_BASE = Reg.TDBAL;
/** The first four queues have them 0x100 bytes apart, the others 0x40 from other bases. */
const NEAR_QUEUES = 4;
const FAR = { rx: 0xc000, tx: 0xe000, stride: 0x40 } as const;
const NEAR_STRIDE = 0x100;

/** What to add to the first queue's offsets for those of another queue. */
export function queueOffsets(queue: number): { readonly rx: number; readonly tx: number; readonly ivar: number } {
  // One IVAR register holds the vectors of the queues n and n + 8 (datasheet section 8.8.13).
  const ivar = 4 * queue;
  if (queue < NEAR_QUEUES) return { rx: queue * NEAR_STRIDE, tx: queue * NEAR_STRIDE, ivar };
  const within = queue * FAR.stride;
  return { rx: FAR.rx - RX_BASE + within, tx: FAR.tx - TX_BASE + within, ivar };
}

/** Registers of which there is one for each virtual function, pool or receive address. */
export const mailboxOf = (vf: number): number => 0x0c00 + 4 * vf;
export const mailboxMemoryOf = (vf: number): number => 0x0800 + 64 * vf;
/** VMOLR: offloads of a pool. */
export const poolOffloads = (pool: number): number => 0x5ad0 + 4 * pool;
/** RAL; RAH follows it. */
export const receiveAddress = (entry: number): number => 0x5400 + 8 * entry;

/** The mailbox as a virtual function has it. Its other registers lie where the physical function has its first queue's. */
export const VfReg = { V2PMAILBOX: 0x0c40, VMBMEM: 0x0800 } as const;

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
  /** Virtual functions are enabled, and how many. */
  IOV_MODE: 1 << 18,
  NUM_VFS_SHIFT: 14,
  NUM_VFS_MASK: 0xf,
} as const;
/**
 * The device has read its configuration from the EEPROM, or found none (datasheet, section 8.2.3). Hardware always sets
 * it after a reset, QEMU never.
 */
export const Eecd = { AUTO_RD: 1 << 9 } as const;
/** PFRSTD tells the virtual functions that the physical one is up again. */
export const CtrlExt = { PFRSTD: 1 << 14, LINK_MODE_MASK: 3 << 22, DRV_LOAD: 1 << 28 } as const;
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

/** MRQC: each frame goes to the pools with its address (VMDq without RSS). */
export const MRQC_POOLS = 3;
/** VT_CTL: a frame that no pool wants is dropped. */
export const VT_CTL_NO_DEFAULT_POOL = 1 << 29;
/** VMOLR: accept frames without a VLAN tag, and strip the checksum. */
export const POOL_OFFLOADS = (1 << 24) | (1 << 31);
/** DTXSWC: frames go from pool to pool within the device, and back to the pool that they came from (LLE, a bit a pool). */
export const DTXSWC_LOOPBACK = (1 << 31) | (0xff << 16);
/** RAH: the address is valid, and the pools that it belongs to, one bit each. */
export const Rah = { VALID: 1 << 31, POOL_SHIFT: 18 } as const;

/** Bits of the mailboxes' registers (82576EB datasheet, section 8.14; igb/e1000_mbx.h and igbvf/mbx.h). */
export const PfMailbox = { MESSAGE_SENT: 1 << 0, ACKNOWLEDGE: 1 << 1, TAKE: 1 << 3 } as const;
export const VfMailbox = { REQUEST: 1 << 0, ACKNOWLEDGE: 1 << 1, TAKE: 1 << 2, MESSAGE_SENT: 1 << 4 } as const;
/** The first word of a message: what it asks, and how the physical function answered. */
export const Message = { RESET: 1, ACCEPTED: 1 << 31, REFUSED: 1 << 30 } as const;
