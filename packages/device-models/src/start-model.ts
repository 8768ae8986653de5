import { extname, join } from "node:path";
import { type ModelConnection, ModelWorker, type ModelWorkerOptions } from "@vfio-selftests/vfio-user";
import { modelByName } from "./models";

/** Where the model's server listens, and whom it trusts. */
export type StartModelOptions = Pick<ModelWorkerOptions, "socketPath" | "fd" | "trustClients" | "execArgv">;

/**
 * Starts the model `name` in a thread of its own. With `socketPath` it listens there. ERR_INVALID_ARGUMENT for an
 * unknown name.
 */
export function startModel(name: string, options: StartModelOptions = {}): ModelWorker {
  modelByName(name);
  return new ModelWorker({
    ...options,
    module: join(__dirname, `models${extname(__filename)}`),
    exportName: "createModel",
    options: { name },
  });
}

/**
 * For `VfioUserMode`: makes a new model for every opened device `model:NAME`. The model ends when the device is closed.
 */
export function connectModel(name: string, options: StartModelOptions = {}): ModelConnection {
  const worker = startModel(name, options);
  return {
    fd: worker.connect(),
    close: () => void worker.close(),
    failure: () => worker.failure,
  };
}
