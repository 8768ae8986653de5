import { defineCommand } from "../options/command";
import { flag } from "../options/option";

export const listCommand = defineCommand<{ readonly json?: boolean; readonly all?: boolean }>({
  options: {
    json: flag("--json", "as JSON"),
    all: flag("--all", "also bridges and devices that are not behind an IOMMU"),
  },
  run: async (_args, options) => (await import("./list-machine.js")).listMachine(options),
});
