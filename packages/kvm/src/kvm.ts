import { BareVm } from "./bare-vm";
import { FIRST_VECTOR, InterruptGuest, type InterruptGuestOptions, LAST_VECTOR } from "./interrupt-guest";
import { kvmAvailability } from "./virtual-machine";

/** KVM in the form that a target gives to the test suites. */
export const kvm = {
  availability: () => kvmAvailability(),
  firstVector: FIRST_VECTOR,
  lastVector: LAST_VECTOR,
  openVm: () => new BareVm(),
  startGuest: (options: InterruptGuestOptions) => InterruptGuest.start(options),
} as const;
