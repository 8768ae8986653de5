import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { type LabHost, systemPath } from "./host";

/** Where administrators' programs are on systems whose ordinary users do not have them in `PATH`. */
const ADMINISTRATORS_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The path of an executable: `name` itself when absolute, else the first in `PATH` and the administrators' folders. */
export function findProgram(host: LabHost, name: string): string | undefined {
  if (isAbsolute(name)) return [systemPath(host, name)].find(isExecutable);
  const folders = (host.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  const administrators = ADMINISTRATORS_FOLDERS.map((folder) => systemPath(host, folder));
  return [...folders, ...administrators].map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
