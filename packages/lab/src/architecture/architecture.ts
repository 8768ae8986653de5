import { argumentError } from "@vfio-selftests/core/errors";
import { ARM64 } from "./arm64";
import type { LabArchitecture } from "./lab-architecture";
import { X86_64 } from "./x86-64";

/** The CPUs that a VM may have. */
export const LAB_ARCHITECTURES: readonly LabArchitecture[] = [X86_64, ARM64];

/** What the lab is where nobody says otherwise: the one that the lab's hosts have. */
export const DEFAULT_ARCHITECTURE = X86_64;

/** An architecture by its name. ERR_INVALID_ARGUMENT for another name. */
export function parseArchitecture(choice: string): LabArchitecture {
  const architecture = LAB_ARCHITECTURES.find(({ name }) => name === choice);
  if (architecture !== undefined) return architecture;
  throw argumentError("lab", "arch", choice, LAB_ARCHITECTURES.map(({ name }) => name).join(", "));
}
