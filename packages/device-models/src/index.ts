export * from "./registers/index";
