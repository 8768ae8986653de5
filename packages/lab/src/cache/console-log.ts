import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import type { LabCache } from "./cache";

/** How many console logs the cache keeps. */
const KEPT = 20;

/** Makes the file for the console of one run. Each run has its own, even at the same time. Removes the oldest ones. */
export function newConsoleLog({ consoles }: LabCache): string {
  makeFolder(consoles);
  const older = readdirSync(consoles).sort();
  for (const name of older.slice(0, Math.max(0, older.length - KEPT + 1))) {
    rmSync(join(consoles, name), { force: true });
  }
  const started = new Date().toISOString().replaceAll(":", "-");
  const path = join(consoles, `${started}-${randomBytes(3).toString("hex")}.log`);
  writeFileSync(path, "", { flag: "wx" });
  return path;
}
