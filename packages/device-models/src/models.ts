import { argumentError } from "@vfio-selftests/core/errors";
import type { DeviceModel } from "@vfio-selftests/vfio-user";
import { CapabilitiesModel } from "./capabilities/index";
import { DsaModel } from "./dsa/index";
import { IoatModel } from "./ioat/index";
import { nvFalconGenerations, NvFalconModel } from "./nv-falcon/index";

/** Makes a model: a device in its state after power-on. */
export type ModelFactory = () => DeviceModel;

/** One of each kind of device. */
const KINDS: Readonly<Record<string, ModelFactory>> = {
  ioat: () => new IoatModel(),
  dsa: () => new DsaModel(),
  "nv-falcon": () => new NvFalconModel(),
};

const MODELS: Readonly<Record<string, ModelFactory>> = {
  ...KINDS,
  ...Object.fromEntries(
    nvFalconGenerations.map((generation) => [`nv-falcon-${generation}`, () => new NvFalconModel({ generation })]),
  ),
  // Devices for the tests of vfio-pci's config space. They have no engine, so they are no kinds that tests on models would want.
  capabilities: () => new CapabilitiesModel(),
  "capabilities-pcix1": () => new CapabilitiesModel({ pciX: 1 }),
  "capabilities-pcix2": () => new CapabilitiesModel({ pciX: 2 }),
};

/** The names of the embedded models, for `model serve NAME` and `model:NAME`. */
export const modelNames: readonly string[] = Object.keys(MODELS);

/** Those of {@link modelNames} that stand for a kind of device: what tests on models use where nobody chooses. */
export const modelKinds: readonly string[] = Object.keys(KINDS);

/**
 * The maker of the model with this name, as in `model serve NAME` and `model:NAME`. ERR_INVALID_ARGUMENT for others.
 */
export function modelByName(name: string): ModelFactory {
  const factory = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (factory === undefined) throw argumentError("modelByName", "name", name, modelNames.join(", "));
  return factory;
}

/** A model's thread calls it (see `startModel`). */
export function createModel({ name }: { readonly name: string }): DeviceModel {
  return modelByName(name)();
}
