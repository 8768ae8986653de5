import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardedValue } from "./state-guard";

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "state-guard-"));
  file = join(directory, "value");
  writeFileSync(file, "0\n");
});
afterEach(() => rmSync(directory, { recursive: true }));

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10);
}

describe("GuardedValue", () => {
  it("puts the value back at disposal", () => {
    {
      using guarded = new GuardedValue(file);
      guarded.set(7);
      expect(readFileSync(file, "utf8")).toBe("7");
    }
    expect(readFileSync(file, "utf8")).toBe("0");
  });

  it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
    "puts the value back when the process dies of %s",
    async (signal) => {
      const ready = join(directory, "ready");
      // A process that changes the value and then does not come to its end.
      const script = `
      const { GuardedValue } = require(${JSON.stringify(join(__dirname, "../dist/state-guard.js"))});
      new GuardedValue(${JSON.stringify(file)}).set(7);
      require("node:fs").writeFileSync(${JSON.stringify(ready)}, "");
      setInterval(() => {}, 1000);`;
      const child = spawn(process.execPath, ["-e", script], { stdio: "inherit" });
      await until(() => existsSync(ready));
      expect(readFileSync(file, "utf8")).toBe("7");
      child.kill(signal);
      await once(child, "exit");
      await until(() => readFileSync(file, "utf8") === "0");
      expect(readFileSync(file, "utf8")).toBe("0");
    },
  );
});
