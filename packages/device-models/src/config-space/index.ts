export type { Capability } from "./capability";
export { CONFIG_SPACE_BYTES, configSpace } from "./config-space";
export { advancedErrorReporting } from "./extended-capabilities";
export { Command, Status } from "./header";
export type { BarDeclaration, HeaderDeclaration } from "./header";
export {
  INITIATE_FUNCTION_LEVEL_RESET,
  MsixControl,
  PcieType,
  msix,
  msixTableRegisters,
  pciExpress,
  powerManagement,
} from "./standard-capabilities";
export type { MsixDeclaration } from "./standard-capabilities";
