import {
  GDT,
  IDT,
  loadGuestProgram,
  MAX_VCPUS,
  MEMORY_SIZE,
  slotAddress,
  stackTop,
  WAKE_VECTOR,
} from "./guest-program";

const VECTOR = 0x40;

/** Where a vector's IDT gate leads. */
function handler(memory: ArrayBuffer, vector: number): number {
  const view = new DataView(memory);
  const at = IDT + vector * 8;
  return view.getUint16(at, true) | (view.getUint16(at + 6, true) << 16);
}

test("the tested vector, NMI and wake-up have handlers of their own; all other vectors share one", () => {
  const memory = new ArrayBuffer(MEMORY_SIZE);
  loadGuestProgram(memory, "x2apic", "halt", VECTOR);
  const special = [VECTOR, 2, WAKE_VECTOR].map((vector) => handler(memory, vector));
  expect(new Set(special).size).toBe(3);
  const others = new Set(
    Array.from({ length: 256 }, (_, vector) => vector)
      .filter((vector) => ![VECTOR, 2, WAKE_VECTOR].includes(vector))
      .map((vector) => handler(memory, vector)),
  );
  expect(others.size).toBe(1);
  expect(special).not.toContain([...others][0]);
});

test.each(["xapic", "x2apic"] as const)("%s: every handler ends in iret, the unexpected one in hlt", (apic) => {
  const memory = new ArrayBuffer(MEMORY_SIZE);
  const bytes = new Uint8Array(memory);
  loadGuestProgram(memory, apic, "spin", VECTOR);
  const interrupt = handler(memory, VECTOR);
  const wake = handler(memory, WAKE_VECTOR);
  const nmi = handler(memory, 2);
  // The handlers follow each other, so each ends where the next begins.
  expect([wake, nmi, handler(memory, 3)].map((next) => bytes[next - 1])).toEqual([0xcf, 0xcf, 0xcf]);
  expect(interrupt).toBeLessThan(wake);
  // The wake handler is the interrupt handler without the four bytes that count.
  expect(wake - interrupt - (nmi - wake)).toBe(4);
});

test("code and data descriptors are flat, 32-bit and present", () => {
  const memory = new ArrayBuffer(MEMORY_SIZE);
  loadGuestProgram(memory, "xapic", "spin", VECTOR);
  const view = new DataView(memory);
  expect(view.getBigUint64(GDT, true)).toBe(0n);
  for (const selector of [8, 16]) {
    expect(view.getUint16(GDT + selector, true)).toBe(0xffff);
    expect(view.getUint8(GDT + selector + 6) & 0xcf).toBe(0xcf);
    expect(view.getUint8(GDT + selector + 5) & 0x80).toBe(0x80);
  }
});

test("no vCPU's slot or stack touches another's, or the tables and code", () => {
  const last = MAX_VCPUS - 1;
  expect(slotAddress(1) - slotAddress(0)).toBeGreaterThanOrEqual(20);
  expect(slotAddress(0)).toBeGreaterThanOrEqual(0x3000 + 0x200);
  expect(stackTop(last) - (stackTop(0) - stackTop(1))).toBeGreaterThanOrEqual(slotAddress(last) + 64);
  expect(stackTop(0)).toBe(MEMORY_SIZE);
});
