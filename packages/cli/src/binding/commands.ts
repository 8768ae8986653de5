import { defineCommand } from "../options/command";
import { flag } from "../options/option";
import type { BindOptions } from "./bind-devices";

export const bindCommand = defineCommand<BindOptions>({
  argument: { usage: "<address...>", summary: "PCI addresses: 0000:6a:01.0; or VENDOR:DEVICE: all with these ids" },
  options: { force: flag("--force", "also devices that are in use (a network interface that is up, a mounted disk)") },
  run: async (addresses, options) => (await import("./bind-devices.js")).bindDevices(addresses, options),
});

export const unbindCommand = defineCommand<BindOptions>({
  argument: { usage: "[address...]", summary: "PCI addresses, or VENDOR:DEVICE; default: every device that bind took" },
  options: { force: flag("--force", "also devices that a process has open (the kernel then waits for it)") },
  run: async (addresses, options) => (await import("./bind-devices.js")).unbindDevices(addresses, options),
});
