import { defineCommand } from "../options/command";

export const restoreCommand = defineCommand({
  options: {},
  run: async () => (await import("./restore-machine.js")).restoreMachine(),
});
