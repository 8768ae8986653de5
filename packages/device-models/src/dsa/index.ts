export type { DsaOptions } from "./capabilities";
export { DsaModel } from "./dsa-model";
