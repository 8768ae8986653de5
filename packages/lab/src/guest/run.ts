import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { argumentError } from "@vfio-selftests/core/errors";
import { EndMarkStream } from "./end-mark";
import { type LabOptions, type NextStage, runGuest } from "./guest-run";
import type { LabResult } from "./lab-result";

/** A command, and the VM in which it runs. */
export interface LabRunOptions extends LabOptions {
  /** Program and arguments. */
  command: readonly string[];
  /** The folder in which the command starts. Default: this process's. */
  cwd?: string;
  /** Variables on top of the caller's environment and of those that the guest sets. */
  env?: Readonly<Record<string, string>>;
  /** Milliseconds after which the command gets SIGTERM. The VM ends 5 s later. Default: no limit. */
  timeoutMs?: number;
  /**
   * After the command's success the VM's kernel jumps into another one (kexec), on which a second command runs. It has
   * the same folders, streams and time limit. `VFIO_SELFTESTS_STAGE` tells the commands their stage, 1 or 2.
   */
  next?: NextStage;
  /** The command's input. Default: none. */
  stdin?: Readable;
  /** Default: this process's. */
  stdout?: Writable;
  /** Default: this process's. */
  stderr?: Writable;
}

/**
 * Runs a command in the lab's VM, as root, in the same file tree. Its output comes live. SIGINT, SIGTERM and SIGHUP go
 * to the command, and a second one ends the VM.
 *
 * @throws VfioError `ERR_LAB_NOT_SET_UP`, `ERR_LAB_NO_IMAGE`, `ERR_LAB_KERNEL_CONFIG`, `ERR_LAB_BOOT`, `ERR_LAB_GUEST_LOST`, `ERR_LAB_QEMU_TOO_OLD`,
 * `ERR_INVALID_ARGUMENT`
 */
export async function runInLab(options: LabRunOptions): Promise<LabResult> {
  const { stdin, stdout = process.stdout, stderr = process.stderr, ...run } = options;
  if (run.command.length === 0 || run.next?.command.length === 0)
    throw argumentError("lab run", "command", "", "a program and its arguments");
  const onStream = async (name: string, socket: Socket, endMark: string): Promise<void> => {
    if (name === "stdin") stdin?.pipe(socket);
    else await passOutput(socket, name === "stdout" ? stdout : stderr, endMark);
  };
  try {
    return await runGuest({ ...run, mode: "run", hasStdin: stdin !== undefined, onStream });
  } finally {
    stdin?.unpipe();
  }
}

/** Passes a stream on up to its end mark. Rejects when nobody reads any more (`lab run … | head`). */
async function passOutput(socket: Socket, destination: Writable, endMark: string): Promise<void> {
  const passed = new EndMarkStream(endMark);
  // A socket that is cut off ends the stream, too.
  socket.once("close", () => {
    if (!passed.complete) passed.end();
  });
  let stop = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      destination.on("error", reject);
      stop = () => destination.off("error", reject);
      passed.once("end", resolve);
      socket.pipe(passed, { end: false }).pipe(destination, { end: false });
    });
  } finally {
    stop();
  }
}
