import { defineCommand } from "../options/command";

export const kselftestInstallCommand = defineCommand({
  argument: { usage: "<folder>", summary: "an installed kselftest: the folder that has run_kselftest.sh" },
  options: {},
  notes: [
    "`run_kselftest.sh -c vfio-ts` then runs the suites on the devices of VFIO_SELFTESTS_BDF. KSELFTEST_VFIO_SELFTESTS_ARGS has " +
      "further options of `run`. The time limit is in vfio-ts/settings; `run_kselftest.sh -o` overrides it.",
  ],
  run: async ([folder = ""]) => (await import("./install-kselftest.js")).installKselftest(folder),
});
