import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import type { RunEvent } from "@vfio-selftests/harness";
import { CHANNEL, type JestProcessOptions } from "./jest-process";

/** Milliseconds that a process may take to end after a signal. One that the kernel holds may never end. */
const END_MS = 10_000;

/**
 * A process that runs tests and reports its progress. The kernel ends it when this process dies, however that happens.
 */
export class TestProcess {
  /**
   * Resolves when the process has ended and its last event was delivered: to words that say how, or undefined for a
   * good end. Also resolves when it was killed and still does not end.
   */
  readonly ended: Promise<string | undefined>;
  readonly #child: ChildProcess;
  #resolve: (how: string | undefined) => void = () => undefined;
  #killing: NodeJS.Timeout | undefined;

  constructor(options: JestProcessOptions, onEvent: (event: RunEvent) => void) {
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const program = [process.execPath, ...process.execArgv, require.resolve("./jest-process.js")];
    const [command = "", ...args] = diesWithUs(program);
    // The reports add the colour. jest writes some to a terminal even where NO_COLOR forbids it.
    const env = { ...process.env, FORCE_COLOR: "0" };
    this.#child = spawn(command, args, { stdio: ["inherit", "inherit", "inherit", "pipe"], env });
    const channel = this.#child.stdio[CHANNEL] as Duplex;
    // A process that has ended reads nothing. "close" says how it ended.
    channel.on("error", () => undefined);
    // The list of chosen tests may be longer than an argument may be (128 KiB).
    channel.write(`${JSON.stringify(options)}\n`);
    const events = createInterface({ input: channel });
    events.on("line", (line) => onEvent(JSON.parse(line) as RunEvent));
    this.#child.once("error", (error) => this.#end(`could not be started: ${error.message}`));
    // "close" comes after the end of the pipe; "exit" may come before it.
    this.#child.once("close", (code, signal) => {
      if (signal !== null) this.#end(`was ended by ${signal}`);
      else this.#end(code === 0 ? undefined : `ended with exit status ${code ?? 0}`);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Ends the process, with SIGKILL when the signal does not. */
  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
    clearTimeout(this.#killing);
    this.#killing = setTimeout(() => {
      if (signal !== "SIGKILL") {
        this.kill();
        return;
      }
      // An open pipe must not keep this process alive.
      this.#child.stdio[CHANNEL]?.destroy();
      this.#child.unref();
      this.#end("does not end: the kernel holds it");
    }, END_MS);
  }

  #end(how: string | undefined): void {
    clearTimeout(this.#killing);
    this.#resolve(how);
  }

  /** What the process is doing, from /proc: lines for a person who wants to know why it hangs. */
  describe(): string[] {
    const read = (name: string): string => {
      try {
        return readFileSync(systemPaths.proc(String(this.pid), name), "utf8").trim();
      } catch {
        return "";
      }
    };
    const state = /^State:\s*(.*)$/m.exec(read("status"))?.[1];
    const stack = read("stack");
    return [
      ...(state === undefined ? [] : [`state ${state}`]),
      ...(/^\d/.test(read("syscall")) ? [`in system call ${read("syscall").split(" ", 1)[0] ?? ""}`] : []),
      ...(stack === "" ? [] : ["kernel stack:", ...stack.split("\n")]),
    ];
  }
}

/** With util-linux's `setpriv` the kernel ends the process when this one dies (`PR_SET_PDEATHSIG`). */
function diesWithUs(command: readonly string[]): readonly string[] {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const hasSetpriv = folders.some((folder) => folder !== "" && existsPath(join(folder, "setpriv")));
  return hasSetpriv ? ["setpriv", "--pdeathsig", "KILL", ...command] : command;
}
