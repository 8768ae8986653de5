export * from "./config-space/index";
export * from "./dsa/index";
export * from "./ioat/index";
export { createModel, modelByName, modelKinds, modelNames } from "./models";
export type { ModelFactory } from "./models";
export * from "./nv-falcon/index";
export * from "./registers/index";
export { connectModel, startModel } from "./start-model";
export type { StartModelOptions } from "./start-model";
