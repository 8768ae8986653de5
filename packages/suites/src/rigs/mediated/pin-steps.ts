import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { PinOutcome } from "./pin-device";
import type { PinSpace } from "./pin-space";

const NOBODY = 65534;
/** A process takes seconds to start on an emulated machine. */
const TIMEOUT_MS = 100_000;
/** The descriptors by which the program has the device and its address space: a container, or an iommufd. */
export const DEVICE = 3;
export const SPACE = 4;
/** What the program's own memory holds. */
export const OWN_BYTE = 0xc3;

/** What another process asks of a device that pins, or of its address space. */
export type PinStep =
  /** Maps memory of its own. */
  | { readonly do: "map"; readonly iova: number; readonly pages: number }
  | { readonly do: "pin" | "unpin"; readonly iova: number; readonly pages: number }
  | { readonly do: "read"; readonly iova: number; readonly length: number }
  | { readonly do: "write"; readonly iova: number; readonly bytes: readonly number[] };

export interface PinProgram {
  readonly steps: readonly PinStep[];
  /** RLIMIT_MEMLOCK, for a process of user nobody, without CAP_IPC_LOCK. Without it, the process is the caller's user's. */
  readonly limitPages?: number;
}

export interface PinStepResult {
  readonly outcome: PinOutcome;
  /** What a read found. */
  readonly bytes: readonly number[];
  /** The page frames that a pin told, in decimal digits. */
  readonly frames: readonly string[];
  /** Pages that the kernel counts for that process, locked and pinned, since its start. */
  readonly counted: readonly [number, number];
}

/** The program's request: the steps, and the address space in an iommufd; undefined for a container. */
export interface PinRequest extends PinProgram {
  readonly ioas: number | undefined;
}

/** Lets another process take the steps. It has ended when this returns. Only root can have one of user nobody. */
export function pinSteps(space: PinSpace, program: PinProgram): PinStepResult[] {
  const isNobody = program.limitPages !== undefined;
  const request: PinRequest = { ...program, ioas: space.iommufd?.ioas };
  const { stdout, stderr, error } = spawnSync(
    process.execPath,
    [join(__dirname, "take-pin-steps.js"), JSON.stringify(request)],
    {
      ...(isNobody ? { uid: NOBODY, gid: NOBODY } : {}),
      encoding: "utf8",
      cwd: "/",
      timeout: TIMEOUT_MS,
      stdio: ["ignore", "pipe", "pipe", space.deviceFile.descriptor("lend"), space.file.descriptor("lend")],
    },
  );
  if (error !== undefined) throw error;
  if (stdout === "") throw new Error(`the other process failed: ${stderr}`);
  return JSON.parse(stdout) as PinStepResult[];
}
