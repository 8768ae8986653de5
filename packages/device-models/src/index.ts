export * from "./registers/index";
export * from "./config-space/index";
