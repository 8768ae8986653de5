import { systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";
import { type ApicMode, GDT, IDT } from "./guest-program";
import * as uapi from "./uapi";

/** Types of segment descriptors (SDM volume 3, section 3.4.5.1): accessed, readable code and writable data. */
const CODE_TYPE = 0xb;
const DATA_TYPE = 0x3;
const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;
const RFLAGS_ALWAYS_ONE = 2n;

export interface VcpuStart {
  readonly entry: number;
  readonly stack: number;
  /** The guest keeps it in EBX for its whole life. */
  readonly slot: number;
  readonly apic: ApicMode;
}

/** Puts a new vCPU into flat 32-bit protected mode at `entry`, runnable. */
export function startVcpu(vcpu: number, start: VcpuStart): void {
  const sregs = new Uint8Array(uapi.Sregs.size);
  checked(native.ioctl(vcpu, uapi.Ioctl.KVM_GET_SREGS, sregs), "KVM_GET_SREGS");
  const view = new DataView(sregs.buffer);
  setSegment(view, uapi.Sregs.segments.cs, CODE_SELECTOR, CODE_TYPE);
  for (const name of ["ds", "es", "fs", "gs", "ss"] as const) {
    setSegment(view, uapi.Sregs.segments[name], DATA_SELECTOR, DATA_TYPE);
  }
  setTable(view, uapi.Sregs.gdt, GDT, 3 * 8 - 1);
  setTable(view, uapi.Sregs.idt, IDT, 256 * 8 - 1);
  view.setBigUint64(uapi.Sregs.cr0, view.getBigUint64(uapi.Sregs.cr0, true) | uapi.CR0_PE, true);
  const base = view.getBigUint64(uapi.Sregs.apicBase, true) | uapi.APIC_BASE_ENABLE;
  view.setBigUint64(uapi.Sregs.apicBase, start.apic === "x2apic" ? base | uapi.APIC_BASE_X2APIC : base, true);
  checked(native.ioctl(vcpu, uapi.Ioctl.KVM_SET_SREGS, sregs), "KVM_SET_SREGS");

  const regs = new Uint8Array(uapi.Regs.size);
  const registers = new DataView(regs.buffer);
  registers.setBigUint64(uapi.Regs.rip, BigInt(start.entry), true);
  registers.setBigUint64(uapi.Regs.rsp, BigInt(start.stack), true);
  registers.setBigUint64(uapi.Regs.rbx, BigInt(start.slot), true);
  registers.setBigUint64(uapi.Regs.rflags, RFLAGS_ALWAYS_ONE, true);
  checked(native.ioctl(vcpu, uapi.Ioctl.KVM_SET_REGS, regs), "KVM_SET_REGS");

  // Without this, all but the boot CPU wait for a start-up IPI.
  const state = new Uint8Array(uapi.MpState.size);
  new DataView(state.buffer).setUint32(0, uapi.MpState.RUNNABLE, true);
  checked(native.ioctl(vcpu, uapi.Ioctl.KVM_SET_MP_STATE, state), "KVM_SET_MP_STATE");
}

function setSegment(view: DataView, at: number, selector: number, type: number): void {
  view.setBigUint64(at + uapi.Segment.base, 0n, true);
  view.setUint32(at + uapi.Segment.limit, 0xffffffff, true);
  view.setUint16(at + uapi.Segment.selector, selector, true);
  view.setUint8(at + uapi.Segment.type, type);
  view.setUint8(at + uapi.Segment.present, 1);
  view.setUint8(at + uapi.Segment.dpl, 0);
  view.setUint8(at + uapi.Segment.db, 1);
  view.setUint8(at + uapi.Segment.s, 1);
  view.setUint8(at + uapi.Segment.l, 0);
  view.setUint8(at + uapi.Segment.g, 1);
}

function setTable(view: DataView, at: number, base: number, limit: number): void {
  view.setBigUint64(at + uapi.DescriptorTable.base, BigInt(base), true);
  view.setUint16(at + uapi.DescriptorTable.limit, limit, true);
}

function checked(result: number, operation: string): void {
  if (result < 0) throw systemError(result, operation, { subject: "a vCPU" });
}
