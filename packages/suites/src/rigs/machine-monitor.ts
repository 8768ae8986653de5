import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { pollUntil } from "@vfio-selftests/core/driver";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { bridgesAbove } from "./upstream-bridge";

const PORT = "lab.monitor";
const ANSWER_MS = 10_000;
const ANSWER_BYTES = 4096;

/** What the lab's host does to the machine around the guest, for a device that is made for it (`igb-hotplug`). */
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
        remedy: "run it in the lab with a device for that: vfio-selftests lab run --device igb-hotplug",
      });
    }
    this.#port = port;
    this.#fd = openSync(systemPaths.dev(entry), constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** Presses the attention button of the device's slot, as who wants to unplug it does. */
  unplug(): void {
    this.#ask("unplug");
  }

  /** Plugs the device into its slot. */
  plug(): void {
    this.#ask("plug");
  }

  /** Makes the device report an error, by QEMU's name of it (hw/pci/pci-hmp-cmds.c): `POISON_TLP`. */
  reportError(name: string): void {
    this.#ask("error", name);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #ask(...words: readonly string[]): void {
    const [request = "", ...rest] = words;
    writeSync(this.#fd, `${[request, this.#port, ...rest].join(" ")}\n`);
    let answer = "";
    const isAnswered = (): boolean => {
      answer += this.#read();
      return answer.endsWith("\n");
    };
    pollUntil(isAnswered, { timeoutMs: ANSWER_MS, what: `the answer to "${words.join(" ")}"`, subject: PORT });
    if (answer !== "ok\n") throw new Error(`${words.join(" ")}: ${answer.trim()}`);
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
