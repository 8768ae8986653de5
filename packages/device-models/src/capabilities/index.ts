export { CapabilitiesModel } from "./capabilities-model";
