/**
 * The guest of the interrupt test, written by hand: flat 32-bit protected mode without paging. Each vCPU has a slot in
 * guest memory and keeps its address in EBX. The handlers count there what they take.
 */

/** APIC mode of the guest: memory-mapped registers, or MSRs with 32-bit ids. */
export type ApicMode = "xapic" | "x2apic";
/** What the guest does between interrupts: spin (the vCPU stays in guest mode) or halt (it blocks in the kernel). */
export type IdleMode = "spin" | "halt";

/** Guest-physical memory, 1 MiB. */
export const MEMORY_SIZE = 0x100000;
export const GDT = 0x1000;
export const IDT = 0x2000;
const CODE = 0x3000;
const SLOTS = 0x8000;
const STACKS_END = MEMORY_SIZE;
export const MAX_VCPUS = 512;
const SLOT_SIZE = 64;
const STACK_SIZE = 1024;

/** u32 fields of a vCPU's slot. */
export const Slot = { ready: 0, irqs: 4, nmis: 8, unexpected: 12, stop: 16 } as const;
/** I/O ports by which the guest leaves. */
export const Port = { stopped: 0xf4, unexpected: 0xf5 } as const;
/** Vector that makes a halted vCPU look at its stop flag. A test may use any vector but this and 0xff. */
export const WAKE_VECTOR = 0xfe;

const CODE_SELECTOR = 0x08;
const NMI_VECTOR = 2;
const INTERRUPT_GATE_32 = 0x8e;

export function slotAddress(vcpu: number): number {
  return SLOTS + vcpu * SLOT_SIZE;
}

export function stackTop(vcpu: number): number {
  return STACKS_END - vcpu * STACK_SIZE;
}

const ENTRY: Record<ApicMode, number[]> = {
  xapic: [
    ...[0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00], // mov dword [0xfee000f0], 0x1ff: SVR, APIC on
  ],
  x2apic: [
    ...[0xb9, 0x0f, 0x08, 0x00, 0x00], // mov ecx, 0x80f: the SVR's MSR
    ...[0x0f, 0x32], // rdmsr
    ...[0x0d, 0xff, 0x01, 0x00, 0x00], // or eax, 0x1ff
    ...[0x0f, 0x30], // wrmsr
  ],
};

const READY = [0xc7, 0x03, 0x01, 0x00, 0x00, 0x00]; // mov dword [ebx + ready], 1

const IDLE: Record<IdleMode, number[]> = {
  spin: [
    0xfb, // sti
    ...[0xf3, 0x90], // again: pause
    ...[0x83, 0x7b, Slot.stop, 0x00], // cmp dword [ebx + stop], 0
    ...[0x74, 0xf8], // je again
    0xfa, // cli
    ...[0xe6, Port.stopped], // out stopped, al
    ...[0xeb, 0xf3], // jmp again
  ],
  halt: [
    0xfa, // again: cli
    ...[0x83, 0x7b, Slot.stop, 0x00], // cmp dword [ebx + stop], 0
    ...[0x75, 0x04], // jne leave
    0xfb, // sti: takes effect after hlt has begun, so no wake-up is lost
    0xf4, // hlt
    ...[0xeb, 0xf5], // jmp again
    ...[0xe6, Port.stopped], // leave: out stopped, al
    ...[0xeb, 0xfc], // jmp leave
  ],
};

const INTERRUPT_HANDLER: Record<ApicMode, number[]> = {
  xapic: [
    ...[0xf0, 0xff, 0x43, Slot.irqs], // lock inc dword [ebx + irqs]
    ...[0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00], // mov dword [0xfee000b0], 0: EOI
    0xcf, // iret
  ],
  x2apic: [
    ...[0x50, 0x51, 0x52], // push eax, ecx, edx
    ...[0xf0, 0xff, 0x43, Slot.irqs], // lock inc dword [ebx + irqs]
    ...[0x31, 0xc0, 0x31, 0xd2], // xor eax, eax; xor edx, edx
    ...[0xb9, 0x0b, 0x08, 0x00, 0x00], // mov ecx, 0x80b: the EOI's MSR
    ...[0x0f, 0x30], // wrmsr
    ...[0x5a, 0x59, 0x58], // pop edx, ecx, eax
    0xcf, // iret
  ],
};

/** The interrupt handler without counting. It ends the guest's hlt, so that the guest looks at its stop flag. */
const WAKE_HANDLER: Record<ApicMode, number[]> = {
  xapic: INTERRUPT_HANDLER.xapic.slice(4),
  x2apic: [...INTERRUPT_HANDLER.x2apic.slice(0, 3), ...INTERRUPT_HANDLER.x2apic.slice(7)],
};

const NMI_HANDLER = [
  ...[0xf0, 0xff, 0x43, Slot.nmis], // lock inc dword [ebx + nmis]
  0xcf, // iret
];

const UNEXPECTED_HANDLER = [
  ...[0xf0, 0xff, 0x43, Slot.unexpected], // lock inc dword [ebx + unexpected]
  ...[0xe6, Port.unexpected], // out unexpected, al
  0xf4, // hlt
];

/** Null, code and data descriptors: base 0, limit 4 GiB, 32-bit. */
const GDT_ENTRIES = [0n, 0x00cf9a000000ffffn, 0x00cf92000000ffffn];

/**
 * Writes the program into guest memory. Interrupts other than `vector`, NMI and the wake vector make the guest leave by
 * {@link Port.unexpected}.
 * @returns the address where execution starts.
 */
export function loadGuestProgram(memory: ArrayBuffer, apic: ApicMode, idle: IdleMode, vector: number): number {
  const bytes = new Uint8Array(memory);
  const view = new DataView(memory);
  let next = CODE;
  const place = (code: readonly number[]): number => {
    const at = next;
    bytes.set(code, at);
    next += code.length;
    return at;
  };
  const entry = place([...ENTRY[apic], ...READY, ...IDLE[idle]]);
  const handlers = {
    interrupt: place(INTERRUPT_HANDLER[apic]),
    wake: place(WAKE_HANDLER[apic]),
    nmi: place(NMI_HANDLER),
    unexpected: place(UNEXPECTED_HANDLER),
  };
  GDT_ENTRIES.forEach((descriptor, i) => {
    view.setBigUint64(GDT + i * 8, descriptor, true);
  });
  for (let gate = 0; gate < 256; gate++) {
    const handler =
      gate === NMI_VECTOR
        ? handlers.nmi
        : gate === WAKE_VECTOR
          ? handlers.wake
          : gate === vector
            ? handlers.interrupt
            : handlers.unexpected;
    view.setUint16(IDT + gate * 8, handler & 0xffff, true);
    view.setUint16(IDT + gate * 8 + 2, CODE_SELECTOR, true);
    view.setUint8(IDT + gate * 8 + 5, INTERRUPT_GATE_32);
    view.setUint16(IDT + gate * 8 + 6, handler >>> 16, true);
  }
  return entry;
}
