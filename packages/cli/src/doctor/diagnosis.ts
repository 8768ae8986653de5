import type { Check, Finding } from "./check";
import { CHECKS } from "./checks/table";
import type { Machine } from "./machine/machine";

/** Where tests run, or why they cannot. */
export interface Diagnosis {
  readonly runs: {
    /** Device models need nothing of the machine. */
    readonly models: true;
    readonly lab: boolean;
    /** The device asked for, or one of those bound to vfio-pci. */
    readonly devices: boolean;
  };
  readonly findings: readonly (Finding & Pick<Check, "id" | "subject">)[];
  /** Titles of the checks without a finding. */
  readonly inOrder: readonly string[];
  /** Titles of the checks that had nothing to look at. */
  readonly notChecked: readonly string[];
}

export function diagnose(machine: Machine, checks: readonly Check[] = CHECKS): Diagnosis {
  const applying = checks.filter((check) => check.applies?.(machine) ?? true);
  const answers = applying.map((check) => ({ check, findings: check.examine(machine) }));
  const findings = answers.flatMap(({ check: { id, subject }, findings: found }) =>
    found.map((finding) => ({ id, subject, ...finding })),
  );
  const free = (subject: Check["subject"]) =>
    !findings.some((finding) => finding.subject === subject && finding.severity === "blocks");
  return {
    runs: { models: true, lab: free("lab"), devices: free("devices") },
    findings,
    notChecked: checks.flatMap((check) => (applying.includes(check) ? [] : check.title)),
    inOrder: answers.flatMap(({ check, findings: found }) => (found.length === 0 ? check.title : [])),
  };
}
