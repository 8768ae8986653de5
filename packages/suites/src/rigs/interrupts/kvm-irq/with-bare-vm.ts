import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../../suite-target";
import type { BareVm } from "./kvm";
import { requireKvm } from "./require-kvm";

/** Opens a VM of the target's KVM for one test. Skips the test where there is no KVM. */
export function withBareVm(target: Pick<SuiteTarget, "kvm">, use: (vm: BareVm) => void): void {
  const kvm = requireKvm(target);
  if (kvm.openVm === undefined) {
    skip({ reason: "the target's KVM opens no VM for requests", remedy: "use `kvm` of @vfio-selftests/kvm" });
  }
  using vm = kvm.openVm();
  use(vm);
}
