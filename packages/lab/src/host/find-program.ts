import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { type LabHost, systemPath } from "./host";

/** Where programs are that `PATH` may lack: administrators' on most systems, the system's own on NixOS. */
const FURTHER_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin"];

/** The path of an executable: `name` itself when absolute, else the first in `PATH` and those folders. */
export function findProgram(host: LabHost, name: string): string | undefined {
  if (isAbsolute(name)) return [systemPath(host, name)].find(isExecutable);
  const folders = (host.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  const further = FURTHER_FOLDERS.map((folder) => systemPath(host, folder));
  return [...folders, ...further].map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
