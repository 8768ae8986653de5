import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { BOOT, commandId } from "@vfio-selftests/coverage";
import { GcovRecorder } from "./gcov-recorder";

// Runs in the VM: runs a command and keeps what the kernel ran meanwhile. Arguments: the folder for that, then the
// command.
const [folder = "", program = "", ...args] = process.argv.slice(2);
const recorder = new GcovRecorder(folder);
recorder.record(BOOT);
// The VM's init sends signals to the whole session, so the command gets them, too. This process only waits for it.
process.on("SIGINT", () => undefined).on("SIGTERM", () => undefined);
const { status, signal, error } = spawnSync(program, args, { stdio: "inherit" });
recorder.record(commandId([program, ...args]));
if (error !== undefined) process.stderr.write(`${program}: ${error.message}\n`);
process.exitCode = error !== undefined ? 127 : (status ?? 128 + (signal === null ? 0 : constants.signals[signal]));
