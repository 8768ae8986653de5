export { IoatModel } from "./ioat-model";
export type { IoatModelOptions } from "./ioat-model";
