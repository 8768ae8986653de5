import type { Socket } from "node:net";
import type { ReadStream, WriteStream } from "node:tty";
import { thisHost } from "../host/host";
import type { ControlChannel } from "./control-channel";
import { type LabOptions, runGuest } from "./guest-run";
import type { LabResult } from "./lab-result";
import { runInLab } from "./run";

/** A shell, and the VM in which it runs. */
export interface LabShellOptions extends LabOptions {
  /** Default: `$SHELL`, or `/bin/sh`. */
  shell?: string;
  /** Default: this process's. */
  stdin?: ReadStream;
  /** Default: this process's. */
  stdout?: WriteStream;
}

/**
 * Runs a shell in the lab's VM at the caller's terminal, which is in raw mode meanwhile, so that Ctrl-C goes to the
 * guest. Without a terminal the shell reads commands from standard input.
 */
export async function shellInLab(options: LabShellOptions = {}): Promise<LabResult> {
  const { shell, stdin = process.stdin, stdout = process.stdout, ...machine } = options;
  const command = [shell ?? (machine.host ?? thisHost()).env["SHELL"] ?? "/bin/sh"];
  if (!stdin.isTTY || !stdout.isTTY) return runInLab({ ...machine, command, stdin, stdout });
  const resize = (control: ControlChannel): void => {
    control.resize(stdout.rows, stdout.columns);
  };
  let onResize: (() => void) | undefined;
  const onStream = async (_name: string, socket: Socket): Promise<void> => {
    stdin.pipe(socket);
    socket.pipe(stdout, { end: false });
    await Promise.resolve();
  };
  const onReady = (control: ControlChannel): void => {
    onResize = () => {
      resize(control);
    };
    stdout.on("resize", onResize);
  };
  stdin.setRawMode(true);
  try {
    const terminal = { rows: stdout.rows, columns: stdout.columns };
    return await runGuest({ ...machine, mode: "shell", command, terminal, hasStdin: true, onStream, onReady });
  } finally {
    if (onResize !== undefined) stdout.off("resize", onResize);
    stdin.unpipe();
    stdin.setRawMode(false);
    stdin.pause();
  }
}
