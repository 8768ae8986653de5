import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { type InterruptSignal, onInterrupt } from "../host/interruption";
import type { RunFile } from "../machine/run-folder";
import { ControlChannel, type GuestMessage } from "./control-channel";

/** How a run of the guest ended. */
export type Outcome =
  | { readonly kind: "exit"; readonly status: number }
  | { readonly kind: "interrupt"; readonly signal: InterruptSignal }
  | { readonly kind: "timeout" }
  | { readonly kind: "unread" }
  | { readonly kind: "no boot"; readonly reason: string }
  | { readonly kind: "lost"; readonly reason: string };

export interface SessionOptions {
  readonly bootTimeoutMs: number;
  /** The command's limit in milliseconds. Undefined: no limit. */
  readonly timeoutMs: number | undefined;
  /** How long the guest may give no sign of life under the command, in milliseconds. Undefined: as long as it likes. */
  readonly silenceMs: number | undefined;
  /** Receives the kernel's console live. */
  readonly console: Writable | undefined;
  /** Takes a stream of the guest. Resolves when it has passed all data on. Rejects when it cannot. */
  onStream(name: RunFile, socket: Socket): Promise<void>;
  onReady?(control: ControlChannel): void;
  /** Called when the kernel is about to jump into the next one, which then has the same time to boot. */
  onJump?(): void;
  /** Called when the next kernel has booted, with the milliseconds since the jump. */
  onArrival?(ms: number): void;
}

/** Milliseconds between the request to end, which a command gets that overran its time, and the end of the VM. */
const GRACE_MS = 5_000;

/**
 * What happens between power-on and the end of one guest: it boots, it runs the command, it ends. A guest that
 * jumps into another kernel boots and runs a command twice. Messages of its init, connections, interrupts and time
 * limits come in. The first that ends the guest is the outcome.
 */
export class GuestSession implements Disposable {
  /** Resolves when the guest has ended, for whatever reason. */
  readonly outcome: Promise<Outcome>;
  readonly #options: SessionOptions;
  readonly #poweredOn = performance.now();
  readonly #streams: Promise<void>[] = [];
  readonly #interrupts: Disposable;
  #state: "booting" | "running" | "ended" = "booting";
  #resolve: (outcome: Outcome) => void = () => undefined;
  #control: ControlChannel | undefined;
  #timer: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  /** When the last message of init came (`performance.now`). */
  #heard = 0;
  #interrupted = false;
  #bootMs = 0;
  /** When the kernel jumped (`performance.now`). */
  #jumpedAt: number | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#interrupts = onInterrupt((signal) => this.#interrupt(signal));
    this.#boot();
  }

  /** Milliseconds from power-on to the first command's start. */
  get bootMs(): number {
    return this.#bootMs;
  }

  /** Whether the first kernel has jumped into the next one. */
  get jumped(): boolean {
    return this.#jumpedAt !== undefined;
  }

  /** Called when QEMU has connected one of the guest's ports. */
  connected(name: RunFile, socket: Socket): void {
    if (name === "control") this.#control = new ControlChannel(socket, (message) => this.#receive(message));
    else if (name === "serial") passConsole(socket, this.#options.console);
    else {
      const passed = this.#options.onStream(name, socket);
      this.#streams.push(passed);
      passed.catch(() => this.#end({ kind: "unread" }));
    }
  }

  /** Called when QEMU has ended. Only init can say that the command ended. */
  machineEnded(description: string): void {
    this.#end({ kind: this.#state === "running" ? "lost" : "no boot", reason: `the VM ended: ${description}` });
  }

  /** Waits until the streams have passed on all that the guest wrote. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#streams);
  }

  /** Lets the guest's kernel power off by itself. The console keeps what it prints meanwhile. */
  powerOff(): void {
    this.#control?.powerOff();
  }

  [Symbol.dispose](): void {
    this.#state = "ended";
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#interrupts[Symbol.dispose]();
  }

  #receive(message: GuestMessage): void {
    this.#heard = performance.now();
    if (message.kind === "exit") this.#end({ kind: "exit", status: message.status });
    else if (message.kind === "failed") this.#end({ kind: "no boot", reason: message.reason });
    else if (message.kind === "jump") this.#jump();
    // The first kernel's last signs of life may come after the word that it jumps.
    else if (message.kind === "ready" && this.#state === "booting") this.#run();
  }

  #boot(): void {
    this.#state = "booting";
    const { bootTimeoutMs } = this.#options;
    this.#after(bootTimeoutMs, () => {
      this.#end({ kind: "no boot", reason: `no sign of life within ${bootTimeoutMs / 1000} s` });
    });
  }

  #jump(): void {
    this.#jumpedAt = performance.now();
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#options.onJump?.();
    this.#boot();
  }

  #run(): void {
    this.#state = "running";
    if (this.#jumpedAt === undefined) this.#bootMs = performance.now() - this.#poweredOn;
    else this.#options.onArrival?.(performance.now() - this.#jumpedAt);
    clearTimeout(this.#timer);
    const { timeoutMs, silenceMs } = this.#options;
    if (silenceMs !== undefined) this.#listen(silenceMs, silenceMs);
    if (this.#control !== undefined) this.#options.onReady?.(this.#control);
    if (timeoutMs === undefined) return;
    this.#after(timeoutMs, () => {
      this.#control?.signal("SIGTERM");
      this.#after(GRACE_MS, () => this.#end({ kind: "timeout" }));
    });
  }

  /** Ends the guest when nothing more comes from its init: a kernel that hangs ends neither itself nor the command. */
  #listen(silenceMs: number, left: number): void {
    this.#silence = setTimeout(() => {
      // This process may have been stopped. The messages of that time come in the same turn of the event loop.
      setImmediate(() => {
        const stillLeft = silenceMs - (performance.now() - this.#heard);
        if (this.#state !== "running") return;
        if (stillLeft > 0) this.#listen(silenceMs, stillLeft);
        else this.#end({ kind: "lost", reason: `no sign of life for ${silenceMs / 1000} s: its kernel hangs` });
      });
    }, left);
  }

  /** The first interrupt goes to the command. A second one ends the VM, as does one during the boot. */
  #interrupt(signal: InterruptSignal): void {
    if (this.#state === "running" && !this.#interrupted) this.#control?.signal(signal);
    else this.#end({ kind: "interrupt", signal });
    this.#interrupted = true;
  }

  #after(ms: number, action: () => void): void {
    this.#timer = setTimeout(action, ms);
  }

  #end(outcome: Outcome): void {
    if (this.#state === "ended") return;
    this[Symbol.dispose]();
    this.#resolve(outcome);
  }
}

function passConsole(socket: Socket, destination: Writable | undefined): void {
  if (destination === undefined) socket.resume();
  else socket.pipe(destination, { end: false });
}
