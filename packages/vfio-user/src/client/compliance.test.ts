import { join } from "node:path";
import { iommuBackendCompliance, vfioDeviceCompliance } from "@vfio-selftests/core/testing";
import type { ModelWorker } from "../server/worker/model-worker";
import { startScratchModel } from "../testing/model-thread";
import { VfioUserBackend } from "./vfio-user-backend";
import { VfioUserMode } from "./vfio-user-mode";

const ADDRESS = "model:scratch";
let worker: ModelWorker;
beforeAll(() => {
  worker = startScratchModel({ module: join(__dirname, "../testing/mapped-model.ts") });
  worker.ready();
});
afterAll(async () => worker.close());

const newBackend = () => new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }) });

describe("VfioUserBackend with a model in a thread", () => {
  iommuBackendCompliance(() => ({
    backend: newBackend(),
    address: ADDRESS,
    traits: new VfioUserMode().traits,
    [Symbol.dispose]: () => undefined,
  }));
});

describe("VfioUserDevice of a model in a thread", () => {
  vfioDeviceCompliance(() => {
    const backend = newBackend();
    return { device: backend.openDevice(ADDRESS), [Symbol.dispose]: () => backend.close() };
  });
});
