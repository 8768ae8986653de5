import { join } from "node:path";
import type { ModelWorkerOptions } from "../server/worker/model-worker";
import { ModelWorker } from "../server/worker/model-worker";

/** The scratch device in a thread, loaded from source. */
export function startScratchModel(options: Partial<ModelWorkerOptions> = {}): ModelWorker {
  return new ModelWorker({
    module: join(__dirname, "scratch-model.ts"),
    execArgv: ["-r", join(__dirname, "register-typescript.cjs")],
    ...options,
  });
}
