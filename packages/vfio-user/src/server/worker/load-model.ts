import { pathToFileURL } from "node:url";
import type { DeviceModel } from "../device-model";
import { modelShapeError } from "./model-shape";

export interface ModelModule {
  /** An absolute path, or a specifier that resolves from here. */
  readonly module: string;
  /** The function that makes the model. If it is missing, the default export may be that function. */
  readonly exportName: string;
  /** The argument for the function. */
  readonly options: unknown;
}

/** Loads a module, CommonJS or ES, and makes its model. Throws an Error that says what is wrong with either. */
export async function loadModel({ module, exportName, options }: ModelModule): Promise<DeviceModel> {
  const exports = await load(module);
  const create = [exports[exportName], exports["default"]].find((value) => typeof value === "function");
  if (create === undefined) {
    const names = Object.keys(exports).join(", ");
    throw new Error(`${module} exports no function ${exportName}; it exports ${names === "" ? "nothing" : names}`);
  }
  const model: unknown = await (create as (options: unknown) => unknown)(options);
  const wrong = modelShapeError(model);
  if (wrong === undefined) return model as DeviceModel;
  throw new Error(`${module}: ${exportName} returns no DeviceModel: model${wrong.startsWith("is") ? " " : ""}${wrong}`);
}

async function load(module: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- the module is named at run time
    return namespaceOf(require(module));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ERR_REQUIRE_ESM" && code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
    return namespaceOf(await import(pathToFileURL(require.resolve(module)).href));
  }
}

/** `module.exports = function` has the function as its default. */
function namespaceOf(exports: unknown): Readonly<Record<string, unknown>> {
  if (typeof exports === "function") return { ...Object.fromEntries(Object.entries(exports)), default: exports };
  return typeof exports === "object" && exports !== null ? (exports as Readonly<Record<string, unknown>>) : {};
}
