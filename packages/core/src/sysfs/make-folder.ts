import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder, and those above it, as `mkdir -p` does. Node's own (`recursive`) tries for ever where a file system takes no
 * folders, as `/proc`. Throws Node's error of the folder that cannot be made.
 */
export function makeFolder(path: string, mode = 0o777): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      // Another process made it, or a link that leads nowhere has its name.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  // Throws where something else has the name.
  if (!statSync(path).isDirectory()) mkdirSync(path);
}
