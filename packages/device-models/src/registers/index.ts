export { placedAt } from "./declaration";
export type { Bits, RegisterDeclaration, RegisterDeclarations, RegisterWidth } from "./declaration";
export { Register, Register64 } from "./register";
export { offsetsOf, registerMap } from "./register-map";
export type { RegisterMap } from "./register-map";
export { RegisterFile } from "./register-file";
export type { HooksOf, RegisterHooks, RegistersOf } from "./register-file";
export { RegisterWindows } from "./register-windows";
export type { RegisterWindow } from "./register-windows";
