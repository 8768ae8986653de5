export type { DsaOptions } from "./registers/capabilities";
export { DsaModel } from "./dsa-model";
