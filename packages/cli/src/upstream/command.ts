import { defineCommand } from "../options/command";
import { DEVICE_FORMS } from "../options/device-forms";
import { choice, count, flag, list, text, words } from "../options/option";
import { REPORTERS } from "../run/options";
import type { UpstreamOptions } from "./run-upstream";

const DAY_S = 24 * 3600;

export const upstreamCommand = defineCommand<UpstreamOptions>({
  options: {
    dir: text("--dir <path>", "a kernel tree, or a directory of compiled selftests", { required: true }),
    device: list(
      "-d, --device <device...>",
      `devices bound to vfio-pci: ${DEVICE_FORMS} (default: VFIO_SELFTESTS_BDF)`,
    ),
    program: text("--program <part>", "only the programs whose names contain this"),
    run: words("-r, --run <id...>", "only the tests with exactly these ids"),
    beside: flag("--beside", "run our tests of the same ids, too"),
    timeoutMs: count("--timeout <seconds>", "how long one program may take (default: 600)", {
      least: 1,
      most: DAY_S,
      unit: 1000,
    }),
    reporter: choice("--reporter <name>", "how to report", REPORTERS, { default: "default" }),
    output: text("--output <file>", "write the report there"),
  },
  run: async (_args, options) => (await import("./run-upstream.js")).runUpstream(options),
});
