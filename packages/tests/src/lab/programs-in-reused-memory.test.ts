import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onlyInLab } from "../only-in-lab";

/**
 * A program that fills 32 MiB with code and calls a function at every 64th byte. At its end the memory is free again.
 */
const LEAVE_CODE = `
#include <string.h>
#include <sys/mman.h>
int main(void) {
  const size_t size = 32 << 20;
  unsigned char *code = mmap(0, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  madvise(code, size, MADV_NOHUGEPAGE);
  memset(code, RETURN, size);
  __builtin___clear_cache((char *)code, (char *)code + size);
  for (size_t at = 0; at < size; at += 64) ((void (*)(void))(code + at))();
  return 0;
}`;
/** The x86 instruction `ret`. */
const RETURN = 0xc3;

/** In the first round the kernel still has much memory that it never used. */
const ROUNDS = 2;

const PROGRAMS = [
  "cp",
  "cut",
  "date",
  "du",
  "env",
  "head",
  "ls",
  "mv",
  "rm",
  "seq",
  "sort",
  "stat",
  "tail",
  "tr",
  "wc",
];

describe("the lab's guest", () => {
  onlyInLab("the test is about the memory of the lab's VM");

  it("reads_programs_into_memory_that_held_other_code", () => {
    const leaveCode = compile(LEAVE_CODE);
    for (let round = 0; round < ROUNDS; round++) {
      expect(run(leaveCode)).toBe(0);
      // Then the kernel reads the programs again, into memory that is free now.
      writeFileSync("/proc/sys/vm/drop_caches", "3");
      const ends = PROGRAMS.map((program) => [program, run(program, "--version")]);
      expect(ends).toEqual(PROGRAMS.map((program) => [program, 0]));
    }
  }, 120_000);
});

/** Compiles a program into the guest's memory file system, which is gone at the VM's end. Returns its path. */
function compile(text: string): string {
  const program = join(mkdtempSync(join(tmpdir(), "reused-memory-")), "program");
  writeFileSync(`${program}.c`, text);
  expect(run("cc", `-DRETURN=${RETURN}`, "-O1", "-o", program, `${program}.c`)).toBe(0);
  return program;
}

/** Runs a program. Returns its exit code, or the signal that ended it. */
function run(command: string, ...args: string[]): number | string | null {
  const { status, signal, error } = spawnSync(command, args, { stdio: "ignore" });
  if (error !== undefined) throw error;
  return signal ?? status;
}
