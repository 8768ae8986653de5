/** The thread that {@link ModelWorker} starts: loads a model and serves it. */
import { native } from "@vfio-selftests/native";
import { parentPort, workerData } from "node:worker_threads";
import type { DeviceModel } from "../device-model";
import { ListeningSocket } from "../listen/listening-socket";
import { serveConnection } from "../listen/serve-connection";
import { serveSocket } from "../listen/serve-socket";
import { ServedDevice } from "../served-device";
import { END, WorkerState } from "./worker-state";
import type { WorkerInput } from "./worker-state";

function loadModel({ module, exportName, options }: WorkerInput): DeviceModel {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the module is named at run time; `import` would not give it synchronously
  const exports = require(module) as Readonly<Record<string, unknown>>;
  const create = exports[exportName];
  if (typeof create !== "function") throw new Error(`${module} exports no function ${exportName}`);
  return (create as (options: unknown) => DeviceModel)(options);
}

function main(input: WorkerInput): void {
  const state = new WorkerState(input.state);
  const stopped = (): boolean => state.stopped;
  let device: ServedDevice | undefined;
  let socket: ListeningSocket | undefined;
  try {
    device = new ServedDevice(loadModel(input), { trustClients: input.trustClients });
    if (input.socketPath !== undefined) socket = new ListeningSocket(input.socketPath);
  } catch (error) {
    state.fail(error instanceof Error ? error.message : String(error));
  }
  if (device !== undefined && state.status !== "failed") state.status = "serving";

  const end = (): void => {
    socket?.close();
    device?.close();
    if (state.status !== "failed") state.status = "ended";
    parentPort?.close();
  };
  if (state.status === "failed") device?.close();
  if (socket !== undefined && device !== undefined) {
    serveSocket(device, socket, stopped);
    end();
    return;
  }
  parentPort?.on("message", (fd: number) => {
    if (fd === END) end();
    else if (device === undefined || state.status === "failed" || state.stopped) native.close(fd);
    else serveConnection(device, fd, stopped);
  });
}

main(workerData as WorkerInput);
