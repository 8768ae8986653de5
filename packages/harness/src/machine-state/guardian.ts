import { type ChildProcess, spawn } from "node:child_process";
import { VfioError } from "@vfio-selftests/core";

/**
 * Waits for the end of its input, which comes with the end of the guarded process, however that ended. Then it takes
 * the steps in the journal ($1) and deletes the journal. It tries a failed step again for five seconds, because the
 * kernel may still be closing the process's devices. After that the journal stays for `restoreLeftovers`. Without a
 * journal it has nothing to do. It is a shell script because that needs nothing of us: no build, no module, little
 * memory.
 */
const SCRIPT = `
trap "" INT TERM HUP QUIT
cat >/dev/null
[ -e "$1" ] || exit 0
{
  failed=
  while IFS="|" read -r path unless value; do
    tries=0
    while [ -e "$path" ] && { [ -z "$unless" ] || [ ! -e "$unless" ]; }; do
      if printf "%s\\n" "$value" >"$path"; then break; fi
      tries=$((tries + 1))
      if [ $tries -ge 50 ]; then failed=yes; break; fi
      sleep 0.1
    done
  done
  [ -n "$failed" ] || rm -f "$1"
} <"$1"
`;

/** A process that outlives this one and then puts back what the journal says. */
export class Guardian {
  readonly #process: ChildProcess;

  constructor(journal: string) {
    // It gets a session of its own, so that Ctrl-C and the end of a terminal do not reach it.
    this.#process = spawn("sh", ["-c", SCRIPT, "vfio-selftests-guardian", journal], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    // A guardian without a process id did not start (see below). An unhandled error event would end this process.
    this.#process.on("error", () => undefined);
    this.#process.stdin?.on("error", () => undefined);
    this.#process.unref();
    if (this.#process.pid === undefined) {
      throw new VfioError("cannot start the shell that would put the machine's state back after a crash", {
        code: "ENOENT",
        operation: "record a change",
        remedy: "have a POSIX shell named sh in PATH",
      });
    }
  }

  /** Ends the guardian. The journal must be gone. */
  dismiss(): void {
    this.#process.stdin?.end();
  }
}
