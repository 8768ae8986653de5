/** How a set-up reports what it is doing. */
export interface Progress {
  /** A step begins; the one before has ended. */
  step(title: string): void;
  /** What the step is working on, such as the file that it compiles. Called often. */
  detail(text: string): void;
  /** The step has ended. `summary` says with what. */
  done(summary: string): void;
}

/** Shows nothing. */
export const silentProgress: Progress = {
  step: () => undefined,
  detail: () => undefined,
  done: () => undefined,
};

interface TextOutput {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** Milliseconds between two redraws of the live line, which shows the elapsed seconds. */
const TICK_MS = 500;

/** Writes progress to a terminal as one live line per step, with the elapsed seconds; elsewhere as plain lines. */
export class TextProgress implements Progress, Disposable {
  readonly #output: TextOutput;
  readonly #live: boolean;
  #title = "";
  #detail = "";
  #started = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `live` says whether a line may be overwritten. Default: on a terminal, outside of CI. */
  constructor(output: TextOutput = process.stderr, options: { live?: boolean } = {}) {
    this.#output = output;
    this.#live = options.live ?? (output.isTTY === true && process.env["CI"] === undefined);
  }

  step(title: string): void {
    this.#stop();
    this.#title = title;
    this.#detail = "";
    this.#started = performance.now();
    if (!this.#live) {
      this.#output.write(`${title} ...\n`);
      return;
    }
    this.#draw();
    this.#timer = setInterval(() => {
      this.#draw();
    }, TICK_MS).unref();
  }

  detail(text: string): void {
    this.#detail = text;
  }

  done(summary: string): void {
    const line = `${this.#title}: ${summary} (${this.#seconds()} s)`;
    this.#stop();
    this.#output.write(`${line}\n`);
  }

  /** Leaves the terminal clean when a set-up failed in the middle of a step. */
  [Symbol.dispose](): void {
    this.#stop();
  }

  #seconds(): string {
    const seconds = (performance.now() - this.#started) / 1000;
    return seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0);
  }

  #draw(): void {
    const line = `${this.#title} ... ${this.#seconds()} s  ${this.#detail}`;
    this.#output.write(`\r\x1b[K${line.slice(0, (this.#output.columns ?? 80) - 1)}`);
  }

  #stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#output.write("\r\x1b[K");
  }
}
