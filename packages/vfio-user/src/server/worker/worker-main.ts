/** The thread that {@link ModelWorker} starts: loads a model and serves it. */
import { parentPort, workerData } from "node:worker_threads";
import { native } from "@vfio-selftests/native";
import { serveClients } from "../listen/serve-clients";
import { serveConnection } from "../listen/serve-connection";
import { ServedDevice } from "../served-device";
import { loadModel } from "./load-model";
import type { WorkerInput } from "./worker-state";
import { END, STARTED, WorkerState } from "./worker-state";

async function main(input: WorkerInput): Promise<void> {
  const state = new WorkerState(input.state);
  state.tid = native.gettid();
  const stopped = (): boolean => state.stopped;
  let device: ServedDevice | undefined;
  try {
    device = new ServedDevice(await loadModel(input), { trustClients: input.trustClients });
    state.status = "serving";
  } catch (error) {
    state.fail(error instanceof Error ? error.message : String(error));
  }
  parentPort?.postMessage(STARTED);

  const end = (): void => {
    device?.close();
    if (state.status !== "failed") state.status = "ended";
    parentPort?.close();
  };
  const serve = async (fd: number): Promise<void> => {
    state.clientFd = fd;
    if (device === undefined || state.stopped) native.close(fd);
    else await serveConnection(device, fd, stopped);
    state.clientFd = -1;
  };
  if (input.listenFd !== undefined || input.clientFd !== undefined) {
    if (input.clientFd !== undefined) await serve(input.clientFd);
    else if (device !== undefined && input.listenFd !== undefined) await serveClients(input.listenFd, serve, stopped);
    end();
    return;
  }
  let before = Promise.resolve();
  parentPort?.on("message", (fd: number) => {
    before = before.then(() => (fd === END ? end() : serve(fd)));
  });
}

void main(workerData as WorkerInput);
