import type { CheckName, CheckResult } from "@vfio-selftests/vfio-user/conformance";

export const CHECKS: readonly CheckName[] = [];

interface ClientRun {
  readonly command: readonly string[];
  readonly ids: ReadonlySet<string>;
}

export async function* check(_run: ClientRun): AsyncGenerator<CheckResult> {
  // Nothing yet.
}
