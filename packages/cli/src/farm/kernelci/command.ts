import { defineCommand } from "../../options/command";
import { POLL_OPTIONS, type PollOptions } from "./options";

export const farmKernelciCommand = defineCommand<PollOptions>({
  options: POLL_OPTIONS,
  notes: [
    "Asks the API for jobs of KernelCI's pull-lab protocol that wait for this lab, and runs one after the other: the job's kernel\nboots in the lab's VM, and the result goes back as a node for each test. KERNELCI_API_TOKEN has the token.",
    "A job's tests have the type vfio-selftests, with parts of tests' ids in `subset`, or boot. The kernel has the lab's options\n(`lab kernel-config`) built in.",
    "Ends after Ctrl-C, and gives the job that runs back as incomplete; or when the API was away for long, or refuses the token. With\n--once the exit code is 0 when jobs ran, whatever their results, and 4 when none waited.",
  ],
  run: async (_args, options) => (await import("./poll.js")).pollKernelCi(options),
});
