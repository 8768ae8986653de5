import { Option, type Command } from "commander";
import type { Action } from "../command-line";
import type { UpstreamOptions } from "../upstream/run-upstream";

export function addUpstreamCommand(program: Command, act: Action): void {
  program
    .command("upstream")
    .description("run the kernel's own compiled C selftests, and ours beside them, in one report")
    .requiredOption("--dir <path>", "a kernel tree, or a directory of compiled selftests")
    .option("-d, --device <address...>", "devices bound to vfio-pci (default: VFIO_SELFTESTS_BDF)")
    .option("--program <part>", "only the programs whose names contain this")
    .option("--beside", "run our tests of the same ids, too")
    .option("--timeout <seconds>", "how long one program may take", "600")
    .addOption(
      new Option("--reporter <name>", "how to report").choices(["default", "tap", "json", "junit"]).default("default"),
    )
    .option("--output <file>", "write the report there")
    .action((options: UpstreamOptions) => {
      act(import("../upstream/run-upstream.js").then(({ runUpstream }) => runUpstream(options)));
    });
}
