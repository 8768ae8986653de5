import { readFileSync } from "node:fs";
import { Eventfd } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/** Some users of an eventfd let it go in a worker, or after a grace period of RCU. */
const LET_GO_MS = 5000;

/**
 * Whether the kernel still holds an eventfd after its descriptor is closed. The kernel numbers eventfds and gives a new one the
 * lowest number that is free (fs/eventfd.c, do_eventfd; `eventfd-id` in fdinfo), so a number that is passed over is held.
 */
export class EventfdHold {
  readonly #id: number;

  constructor(eventfd: Eventfd) {
    this.#id = idOf(eventfd);
  }

  get held(): boolean {
    const fillers: Eventfd[] = [];
    try {
      for (;;) {
        const filler = new Eventfd("filler");
        fillers.push(filler);
        const id = idOf(filler);
        if (id >= this.#id) return id !== this.#id;
      }
    } finally {
      for (const filler of fillers) filler.close();
    }
  }

  /** Waits until the kernel has let the eventfd go. Throws `ETIMEDOUT`. */
  waitUntilLetGo(): void {
    pollUntil(() => !this.held, { timeoutMs: LET_GO_MS, what: "the kernel to let go", subject: `eventfd ${this.#id}` });
  }
}

function idOf(eventfd: Eventfd): number {
  const info = readFileSync(systemPaths.proc("self", "fdinfo", String(eventfd.fd)), "utf8");
  const id = /^eventfd-id:\s*(\d+)$/m.exec(info)?.[1];
  if (id === undefined) throw new Error(`/proc/self/fdinfo tells no eventfd-id (Linux before 5.2): ${info}`);
  return Number(id);
}
