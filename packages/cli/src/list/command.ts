import type { Command } from "commander";
import type { Action } from "../command-line";

export function addListCommand(program: Command, act: Action): void {
  program
    .command("list")
    .description("show PCI devices and whether they can be tested, and the IOMMU modes")
    .option("--json", "as JSON")
    .option("--all", "also bridges and devices that are not behind an IOMMU")
    .action((options: { json?: boolean; all?: boolean }) => {
      act(import("../list/list-machine.js").then(({ listMachine }) => listMachine(options)));
    });
}
