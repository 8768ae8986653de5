export { NvFalconModel, nvFalconGenerations } from "./nv-falcon-model";
export type { NvFalconModelOptions } from "./nv-falcon-model";
