import { existsSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { type LabCache, readJson } from "../cache/cache";
import { findKernelImage } from "./kernel/kernel-image";
import type { Qemu } from "./qemu";

/** What the last successful set-up chose and booted. */
export interface LabState {
  /** The QEMU that booted it. */
  readonly qemu: Qemu;
  /** Path of the kernel image. */
  readonly kernel: string;
  /** The tree that is the guest's root. Absent where that is the host's tree. */
  readonly guestRoot?: string;
  /** The key of the kernel's option fragment. Absent for an image that the user gave. */
  readonly fragment?: string;
}

/** The state in the cache, if there is one and its programs are still there. */
export function readLabState(cache: LabCache): LabState | undefined {
  const state = readJson(cache.state);
  if (!isLabState(state)) return undefined;
  const needed = [state.qemu.qemu[0], state.qemu.virtiofsd[0], state.guestRoot ?? "/"];
  return needed.every((path) => path !== undefined && existsSync(path)) ? state : undefined;
}

function isLabState(value: unknown): value is LabState {
  if (typeof value !== "object" || value === null) return false;
  const { qemu, kernel } = value as Partial<LabState>;
  return (
    typeof kernel === "string" &&
    Array.isArray(qemu?.qemu) &&
    Array.isArray(qemu.virtiofsd) &&
    Array.isArray(qemu.version)
  );
}

/** QEMU and the kernel for a run. Throws when there was no set-up (ERR_LAB_NOT_SET_UP) or the image is missing. */
export function requireLabState(cache: LabCache, architecture: LabArchitecture, kernel?: string): LabState {
  const state = readLabState(cache);
  if (state === undefined) {
    const arch = architecture === DEFAULT_ARCHITECTURE ? "" : ` --arch ${architecture.name}`;
    throw new VfioError(`the lab is not set up${arch === "" ? "" : ` for ${architecture.name}`}`, {
      code: "ERR_LAB_NOT_SET_UP",
      operation: "lab run",
      subject: cache.folder,
      remedy: `run \`vfio-selftests lab setup${arch}\` first`,
    });
  }
  return { ...state, kernel: findKernelImage(kernel ?? state.kernel, architecture.kernel) };
}
