export { BareVm } from "./bare-vm";
export { FIRST_VECTOR, InterruptGuest, LAST_VECTOR } from "./interrupt-guest";
export type { InterruptCounts, InterruptGuestOptions } from "./interrupt-guest";
export { kvm } from "./kvm";
export type { ApicMode, IdleMode } from "./guest-program";
export { kvmAvailability, VirtualMachine } from "./virtual-machine";
export type { MsiMessage } from "./virtual-machine";
export { Vcpu } from "./vcpu";
export type { VcpuExit } from "./vcpu";
