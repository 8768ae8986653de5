import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import type { LabMachineOptions } from "@vfio-selftests/lab";

const MODEL = /^model:([^*]+)(?:\*(\d+))?$/;
const MOST = 16;

/** The devices of a VM, with a socket for each model. Disposal ends the models. */
export interface ServedModels {
  readonly devices: readonly string[];
  close(): Promise<void>;
}

/** Calls its argument with a socket in the place of each model among the devices. The models run until it is done. */
export async function withModels<Machine extends LabMachineOptions, Result>(
  machine: Machine,
  run: (served: Machine) => Promise<Result>,
): Promise<Result> {
  const { devices } = machine;
  if (devices === undefined) return run(machine);
  const models = await serveModels(devices);
  try {
    return await run({ ...machine, devices: models.devices });
  } finally {
    await models.close();
  }
}

/** Starts each `model:NAME` (or `model:NAME*COUNT`) among the devices. The VM attaches them with vfio-user-pci. */
export async function serveModels(devices: readonly string[], directory = process.cwd()): Promise<ServedModels> {
  if (!devices.some((device) => MODEL.test(device))) return { devices, close: () => Promise.resolve() };
  const { requireModel, startNamedModel } = await import("../model/start-named-model.js");
  const names = devices.map(modelNames);
  for (const name of names.flatMap((group) => group ?? [])) requireModel(name, directory);

  const folder = mkdtempSync(join(tmpdir(), "vfio-selftests-models-"));
  const workers: ReturnType<typeof startNamedModel>[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.close()));
    rmSync(folder, { recursive: true, force: true });
  };
  const serve = (name: string): string => {
    const socketPath = join(folder, `${workers.length}.sock`);
    const worker = startNamedModel(name, { socketPath }, directory);
    workers.push(worker);
    worker.ready();
    return `vfio-user:${socketPath}`;
  };
  try {
    return { devices: devices.flatMap((device, i) => names[i]?.map(serve) ?? [device]), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The model's name, once for each wanted device. Undefined for another kind of device. */
function modelNames(device: string): string[] | undefined {
  const [, name, count = "1"] = MODEL.exec(device) ?? [];
  if (name === undefined) return undefined;
  if (Number(count) < 1 || Number(count) > MOST) throw argumentError("lab", "device", device, `*1 to *${MOST}`);
  return Array.from({ length: Number(count) }, () => name);
}
