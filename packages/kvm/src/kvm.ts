import { BareVm } from "./bare-vm";
import { FIRST_VECTOR, InterruptGuest, type InterruptGuestOptions, LAST_VECTOR } from "./interrupt-guest";
import { kvmAvailability } from "./virtual-machine";

/** KVM as the test suites take it, with their target. */
export const kvm = {
  availability: () => kvmAvailability(),
  firstVector: FIRST_VECTOR,
  lastVector: LAST_VECTOR,
  openVm: () => new BareVm(),
  startGuest: (options: InterruptGuestOptions) => InterruptGuest.start(options),
} as const;
