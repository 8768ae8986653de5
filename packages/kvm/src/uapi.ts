/**
 * The part of KVM's ABI that interrupt tests need, as data, for x86_64 (include/uapi/linux/kvm.h,
 * arch/x86/include/uapi/asm/kvm.h). Offsets and sizes in bytes.
 */

/** ioctl numbers on /dev/kvm, a VM or a vCPU. */
export const Ioctl = {
  KVM_GET_API_VERSION: 0xae00,
  KVM_CREATE_VM: 0xae01,
  KVM_CHECK_EXTENSION: 0xae03,
  KVM_GET_VCPU_MMAP_SIZE: 0xae04,
  KVM_GET_SUPPORTED_CPUID: 0xc008ae05,
  KVM_CREATE_VCPU: 0xae41,
  KVM_SET_USER_MEMORY_REGION: 0x4020ae46,
  KVM_SET_TSS_ADDR: 0xae47,
  KVM_CREATE_IRQCHIP: 0xae60,
  KVM_SET_GSI_ROUTING: 0x4008ae6a,
  KVM_IRQFD: 0x4020ae76,
  KVM_RUN: 0xae80,
  KVM_SET_REGS: 0x4090ae82,
  KVM_GET_SREGS: 0x8138ae83,
  KVM_SET_SREGS: 0x4138ae84,
  KVM_SET_CPUID2: 0x4008ae90,
  KVM_SET_MP_STATE: 0x4004ae99,
  KVM_ENABLE_CAP: 0x4068aea3,
  KVM_SIGNAL_MSI: 0x4020aea5,
} as const;

export const API_VERSION = 12;
export const CAP_X2APIC_API = 129;
export const CAP_MAX_VCPUS = 66;
/** Arguments of CAP_X2APIC_API: routes carry 32-bit APIC ids, and id 0xff is no broadcast. */
export const X2APIC_API_USE_32BIT_IDS = 1n;
export const X2APIC_API_DISABLE_BROADCAST_QUIRK = 2n;

export const UserMemoryRegion = {
  size: 32,
  slot: 0,
  flags: 4,
  guestAddress: 8,
  memorySize: 16,
  userAddress: 24,
} as const;
export const Irqfd = { size: 32, fd: 0, gsi: 4, flags: 8, resampleFd: 12 } as const;
export const IRQFD_FLAG_DEASSIGN = 1;
export const IrqRouting = { headerSize: 8, count: 0, entrySize: 48 } as const;
export const IrqRoutingEntry = { gsi: 0, type: 4, addressLow: 16, addressHigh: 20, data: 24 } as const;
export const IRQ_ROUTING_MSI = 2;
export const Msi = { size: 32, addressLow: 0, addressHigh: 4, data: 8 } as const;
export const EnableCap = { size: 104, cap: 0, args: 8 } as const;
export const Cpuid2 = { headerSize: 8, count: 0, entrySize: 40, maxEntries: 256 } as const;
export const MpState = { size: 4, RUNNABLE: 0 } as const;

export const Regs = { size: 144, rbx: 8, rsp: 48, rip: 128, rflags: 136 } as const;
export const Sregs = {
  size: 312,
  segments: { cs: 0, ds: 24, es: 48, fs: 72, gs: 96, ss: 120 },
  gdt: 192,
  idt: 208,
  cr0: 224,
  apicBase: 272,
} as const;
export const Segment = {
  base: 0,
  limit: 8,
  selector: 12,
  type: 14,
  present: 15,
  dpl: 16,
  db: 17,
  s: 18,
  l: 19,
  g: 20,
} as const;
export const DescriptorTable = { base: 0, limit: 8 } as const;

/** The page that a vCPU shares with user space. */
export const Run = { immediateExit: 1, exitReason: 8, io: { port: 34 }, internalError: { suberror: 32 } } as const;
export const ExitReason = { IO: 2, HLT: 5, SHUTDOWN: 8, FAIL_ENTRY: 9, INTR: 10, INTERNAL_ERROR: 17 } as const;

export const CR0_PE = 1n;
export const APIC_BASE_ENABLE = 1n << 11n;
export const APIC_BASE_X2APIC = 1n << 10n;
