import type { Generation } from "./generations";
import { BOOT_DONE } from "./registers/bar0";

/** How long the GPU's firmware takes here, and then the clearing of its memory. Real ones take up to seconds. */
const BOOT_MS = 1;
const CLEAR_MS = 1;

/** What the GPU does by itself after power-on, and where it tells how far it is. */
export class BootProgress {
  readonly #generation: Generation;
  readonly #now: () => number;
  #started = 0;

  constructor(generation: Generation, now: () => number) {
    this.#generation = generation;
    this.#now = now;
  }

  start(): void {
    this.#started = this.#now();
  }

  /** Whether the firmware lets the falcon out of reset. A GPU whose firmware the VBIOS started long ago is up. */
  get done(): boolean {
    return this.#generation.boot === "vbios" || this.#elapsed >= BOOT_MS;
  }

  get memoryClear(): number {
    return this.#generation.clearsMemory && this.done && this.#elapsed >= BOOT_MS + CLEAR_MS ? BOOT_DONE.memory : 0;
  }

  get gfwProgress(): number {
    return this.done ? BOOT_DONE.gfw : 0;
  }

  get fspProgress(): number {
    return this.done ? BOOT_DONE.fsp : 0;
  }

  get #elapsed(): number {
    return this.#now() - this.#started;
  }
}
