import { VfioError } from "@vfio-selftests/core";
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { readJson, type LabCache } from "./cache";
import type { Qemu } from "../machine/qemu";

/** What the last successful set-up chose and booted. */
export interface LabState {
  readonly qemu: Qemu;
  /** Path of the kernel image. */
  readonly kernel: string;
  /** Key of the option fragment it was built from; absent for an image that the user gave. */
  readonly fragment?: string;
}

/** The state in the cache, when there is one and what it names is still there. */
export function readLabState(cache: LabCache): LabState | undefined {
  const state = readJson(cache.state);
  if (!isLabState(state)) return undefined;
  const programs = [state.qemu.qemu[0], state.qemu.virtiofsd[0]];
  return programs.every((path) => path !== undefined && existsSync(path)) ? state : undefined;
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

/** QEMU and the kernel for a run. Fails when there was no set-up or the image is missing. */
export function requireLabState(cache: LabCache, kernel?: string): LabState {
  const state = readLabState(cache);
  if (state === undefined) {
    throw new VfioError("the lab is not set up", {
      code: "ERR_LAB_NOT_SET_UP",
      operation: "lab run",
      subject: cache.folder,
      remedy: "run `vfio-selftests lab setup` first",
    });
  }
  const image = kernel ?? state.kernel;
  requireKernelImage(image);
  return { ...state, kernel: image };
}

/** Fails unless the file can be a kernel, so that a wrong path is told at once and not by a VM that stays silent. */
export function requireKernelImage(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  let what: string | undefined;
  if (stat === undefined) what = "does not exist";
  else if (!stat.isFile()) what = "is not a file";
  else if (!looksLikeKernel(path)) what = "is not a Linux kernel image (neither bzImage nor vmlinux)";
  if (what === undefined) return;
  throw new VfioError(`the kernel image ${path} ${what}`, {
    code: "ERR_LAB_NO_IMAGE",
    operation: "lab",
    subject: path,
    remedy: "give the path of a bzImage with --kernel, or run `vfio-selftests lab setup` to build one",
  });
}

/** Where a bzImage has its signature (Documentation/arch/x86/boot.rst, "header"). */
const BZIMAGE_SIGNATURE = { offset: 0x202, text: "HdrS" };
/** Where an ELF file such as vmlinux has its own. */
const ELF_SIGNATURE = { offset: 0, text: "\x7fELF" };

function looksLikeKernel(path: string): boolean {
  const head = Buffer.alloc(0x206);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  return [BZIMAGE_SIGNATURE, ELF_SIGNATURE].some(
    ({ offset, text }) => head.toString("latin1", offset, offset + text.length) === text,
  );
}
