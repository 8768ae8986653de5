import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { pollUntil } from "@vfio-selftests/core/driver";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { bridgesAbove } from "./upstream-bridge";

const PORT = "lab.monitor";
const ANSWER_MS = 10_000;
const EJECT_MS = 10_000;
const ANSWER_BYTES = 4096;

/** What the lab's host does to the machine around the guest, for a device that is made for it (`igb-hotplug`, `virtio-rng-aer`). */
export class MachineMonitor implements Disposable {
  readonly #fd: number;
  /** The root port that the device is behind. */
  readonly #port: string;

  /** Skips the test where the machine has no such device. */
  constructor(address: string) {
    const ports = systemPaths.sys("class", "virtio-ports");
    const entry = listDirectory(ports).find((name) => readAttribute(`${ports}/${name}/name`) === PORT);
    const port = bridgesAbove(address).at(-1);
    if (entry === undefined || port === undefined) {
      skip({
        reason: "nobody outside can be asked to unplug the device or to let it report an error",
        remedy:
          "run it in the lab with a device for that: vfio-selftests lab run --device igb-hotplug, or virtio-rng-aer",
      });
    }
    this.#port = port;
    this.#fd = openSync(systemPaths.dev(entry), constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Presses the attention button of the device's slot, as who wants to unplug it does. */
  unplug(): void {
    this.#ask("unplug");
  }

  /** Plugs the device into its slot. QEMU lets go of the one before some time after the slot's power is off. */
  plug(): void {
    let answer = "";
    const isPlugged = (): boolean => {
      answer = this.#answerTo("plug");
      return !answer.includes("Duplicate device ID");
    };
    pollUntil(isPlugged, { timeoutMs: EJECT_MS, what: "QEMU to let go of the device before", subject: this.#port });
    requireOk("plug", answer);
  }

  /** Makes the device report an error, by QEMU's name of it (hw/pci/pci-hmp-cmds.c): `POISON_TLP`. */
  reportError(name: string): void {
    this.#ask("error", name);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #ask(request: string, ...rest: readonly string[]): void {
    requireOk(request, this.#answerTo(request, ...rest));
  }

  #answerTo(request: string, ...rest: readonly string[]): string {
    writeSync(this.#fd, `${[request, this.#port, ...rest].join(" ")}\n`);
    let answer = "";
    const isAnswered = (): boolean => {
      answer += this.#read();
      return answer.endsWith("\n");
    };
    pollUntil(isAnswered, { timeoutMs: ANSWER_MS, what: `the answer to "${request}"`, subject: PORT });
    return answer.trim();
  }

  #read(): string {
    const bytes = Buffer.alloc(ANSWER_BYTES);
    try {
      return bytes.toString("utf8", 0, readSync(this.#fd, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return "";
      throw error;
    }
  }
}

function requireOk(request: string, answer: string): void {
  if (answer !== "ok") throw new Error(`${request}: ${answer}`);
}
