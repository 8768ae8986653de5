import type { Command } from "commander";
import type { Action } from "../command-line";

export function addBindCommands(program: Command, act: Action): void {
  program
    .command("bind")
    .description("give devices to vfio-pci; what they were bound to is remembered")
    .argument("<address...>", "PCI addresses: 0000:6a:01.0")
    .option("--force", "also devices that are in use (a network interface that is up, a mounted disk)")
    .action((addresses: string[], options: { force?: boolean }) => {
      act(import("../binding/bind-devices.js").then(({ bindDevices }) => bindDevices(addresses, options)));
    });
  program
    .command("unbind")
    .description("give devices back to the drivers they had")
    .argument("[address...]", "PCI addresses; default: every device that bind took")
    .option("--force", "also devices that a process has open (the kernel then waits for it)")
    .action((addresses: string[], options: { force?: boolean }) => {
      act(import("../binding/bind-devices.js").then(({ unbindDevices }) => unbindDevices(addresses, options)));
    });
}
