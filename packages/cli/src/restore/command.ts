import type { Command } from "commander";
import type { Action } from "../command-line";

export function addRestoreCommand(program: Command, act: Action): void {
  program
    .command("restore")
    .description("put back what tests that crashed left changed (run does it, too, before it begins)")
    .action(() => {
      act(import("../restore/restore-machine.js").then(({ restoreMachine }) => restoreMachine()));
    });
}
