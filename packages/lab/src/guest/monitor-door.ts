import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { PlacedDevice, PluggableDevice } from "../machine/devices";
import { QmpClient } from "../machine/qmp-client";

/** The monitor as the requests use it. */
type Monitor = Pick<QmpClient, "execute">;

interface MonitorRequest {
  /** What follows the port's address. */
  readonly argument: RegExp;
  ask(monitor: Monitor, device: PluggableDevice, argument: string): Promise<unknown>;
}

/** All that the guest may ask for, by name. */
const REQUESTS: Readonly<Record<string, MonitorRequest>> = {
  /** Presses the slot's attention button. The guest's kernel lets the device go, or does not. */
  unplug: {
    argument: /^$/,
    ask: (monitor, { id }) => monitor.execute("device_del", { id }),
  },
  plug: {
    argument: /^$/,
    ask: (monitor, device) => monitor.execute("device_add", { ...device }),
  },
  /** The device reports an error of PCI Express (Advanced Error Reporting). Only the monitor for people can do that. */
  error: {
    argument: /^[A-Z_]+$/,
    ask: async (monitor, { id }, error) => {
      const command = `pcie_aer_inject_error ${id} ${error}`;
      const said = String(await monitor.execute("human-monitor-command", { "command-line": command })).trim();
      if (!said.startsWith("OK")) throw new Error(said);
    },
  },
};

/**
 * The guest's door to QEMU's monitor. It takes named requests and no others: a line `REQUEST PORT [ARGUMENT]`, where PORT
 * is the root port's PCI address. It answers each with `ok`, or `refused WHY`.
 */
export class MonitorDoor {
  readonly #devices: readonly PlacedDevice[];
  #monitor: QmpClient | undefined;

  constructor(devices: readonly PlacedDevice[]) {
    this.#devices = devices;
  }

  /** Called when QEMU has connected its monitor (`qmp`) or the guest's port (`monitor`). */
  connected(name: "qmp" | "monitor", socket: Socket): void {
    if (name === "qmp") {
      this.#monitor = new QmpClient(socket);
      return;
    }
    createInterface({ input: socket }).on("line", (line) => {
      void answerTo(line, this.#devices, this.#monitor).then((answer) => socket.write(`${answer}\n`));
    });
  }
}

/** Carries a request out, and gives the answer's line. */
export async function answerTo(
  line: string,
  devices: readonly PlacedDevice[],
  monitor: Monitor | undefined,
): Promise<string> {
  const [, name = "", port = "", argument = ""] = /^(\w+) 0000:00:([\da-f]{2})\.0(?: (\S+))?$/.exec(line) ?? [];
  const request = Object.hasOwn(REQUESTS, name) ? REQUESTS[name] : undefined;
  if (request === undefined || !request.argument.test(argument)) return `refused no such request`;
  const placed = devices.find(({ slot }) => slot.address === port);
  const device = placed?.device.pluggable?.(placed.slot);
  if (device === undefined) return `refused no device to plug at 0000:00:${port}.0`;
  if (monitor === undefined) return "refused QEMU has not opened its monitor";
  try {
    await request.ask(monitor, device, argument);
    return "ok";
  } catch (error) {
    return `refused ${(error as Error).message.replaceAll(/\s+/g, " ")}`;
  }
}
