import { modelNames, startModel, type StartModelOptions } from "@vfio-selftests/device-models";
import { type ModelConnection, ModelWorker } from "@vfio-selftests/vfio-user";
import { findModelModule } from "./find-model-module";

/** Throws ERR_INVALID_ARGUMENT for what is neither a model of the toolkit nor a module (see {@link findModelModule}). */
export function requireModel(name: string, directory = process.cwd()): void {
  if (!modelNames.includes(name)) findModelModule(name, directory, modelNames);
}

/** Starts a model of the toolkit, or one of the user's own: the path of a module, or a package. */
export function startNamedModel(name: string, options: StartModelOptions, directory = process.cwd()): ModelWorker {
  if (modelNames.includes(name)) return startModel(name, options);
  return new ModelWorker({ ...options, module: findModelModule(name, directory, modelNames) });
}

/** For `VfioUserMode`: a new model for every opened device `model:NAME`, which ends when the device is closed. */
export function connectNamedModel(name: string, directory = process.cwd()): ModelConnection {
  const worker = startNamedModel(name, {}, directory);
  return {
    fd: worker.connect(),
    close: () => void worker.close(),
    failure: () => worker.failure,
  };
}
