import { Errno } from "@vfio-selftests/core/errors";

/** What the texts of a failure tell a reader at a glance. */
export interface FailureFacts {
  readonly errnos: readonly string[];
  /** Names of ioctls, and of the structures and flags that the kernel names like them. */
  readonly ioctls: readonly string[];
  readonly messages: readonly string[];
  /** What the kernel said, a text each. */
  readonly kernelLog: readonly string[];
}

/** The beginning of a failure that the harness made of the kernel's log (kernel-log/judge.ts). */
const OF_KERNEL = "the kernel reported ";
/** The beginning of a note that quotes the kernel's log. */
const NOTE_OF_KERNEL = "kernel: ";

const ERRNO = /\bE[A-Z0-9]{2,}\b/g;
const IOCTL = /\b(?:VFIO|IOMMU|IOMMUFD|KVM)_[A-Z][A-Z0-9_]+\b/g;

export function failureFacts(failures: readonly string[], notes: readonly string[]): FailureFacts {
  const all = failures.join("\n");
  return {
    errnos: [...new Set(all.match(ERRNO) ?? [])].filter((name) => name in Errno),
    ioctls: [...new Set(all.match(IOCTL) ?? [])],
    messages: failures.filter((text) => !text.startsWith(OF_KERNEL)),
    kernelLog: [
      ...failures.filter((text) => text.startsWith(OF_KERNEL)),
      ...notes.filter((note) => note.startsWith(NOTE_OF_KERNEL)).map((note) => note.slice(NOTE_OF_KERNEL.length)),
    ],
  };
}

export function isOfKernel(note: string): boolean {
  return note.startsWith(NOTE_OF_KERNEL);
}
