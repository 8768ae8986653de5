import { defineCommand } from "../options/command";
import { flag, text } from "../options/option";
import type { CreateDriverOptions } from "./create-driver";

export const createDriverCommand = defineCommand<CreateDriverOptions>({
  argument: { usage: "<path>", summary: "a folder that is not there yet, or is empty" },
  options: {
    esm: flag("--esm", "a package of ES modules (default: CommonJS)"),
    name: text("--name <package>", "the package's name, such as @acme/widget (default: the folder's name)"),
  },
  notes: [
    "The package has a driver and a model of an invented device, which pass every suite as they are: npm install, npm test. " +
      "docs/guides/write-a-driver.md tells how to make them those of your device.",
  ],
  run: async ([path = ""], options) => (await import("./create-driver.js")).createDriver(path, options),
});
