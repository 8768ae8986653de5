import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "../errors/vfio-error";

/** What a project may say in `vfio-selftests.config.{json,cjs,js,mjs}`. */
export interface ProjectConfig {
  /** Driver packages by name, or modules by path relative to the project. */
  readonly drivers?: readonly string[];
}

/** A configuration and the file it came from; an empty one without a file where the project has none. */
export interface LoadedProjectConfig {
  readonly path?: string;
  readonly config: ProjectConfig;
}

const fileNames = ["json", "cjs", "js", "mjs"].map((extension) => `vfio-selftests.config.${extension}`);
/** A module that takes longer is stopped, in milliseconds. */
const EVALUATION_MS = 30_000;
const knownKeys: readonly string[] = ["drivers"];

/** Reads a project's configuration. Throws `ERR_INVALID_CONFIG` for several files, unknown keys and wrong types. */
export function loadProjectConfig(projectDirectory: string): LoadedProjectConfig {
  const [path, ...others] = fileNames.map((name) => join(projectDirectory, name)).filter((file) => existsSync(file));
  if (path === undefined) return { config: {} };
  if (others.length > 0) throw configError(path, `there is also ${others.join(" and ")}`, "keep one of them");
  return { path, config: checkConfig(path, readConfig(path)) };
}

function readConfig(path: string): unknown {
  try {
    return JSON.parse(path.endsWith(".json") ? readFileSync(path, "utf8") : evaluateModule(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw configError(path, `it cannot be loaded: ${reason}`, "correct the file", error);
  }
}

/** Imports a module, prints its default export as JSON to descriptor 3, and its failure there as text. */
const EVALUATION = `
  const { writeSync } = require("node:fs");
  import(require("node:url").pathToFileURL(process.argv[1]).href).then(
    (module) => writeSync(3, JSON.stringify(module.default?.default ?? module.default ?? {})),
    (error) => {
      writeSync(3, String(error?.message ?? error));
      process.exitCode = 1;
    },
  );`;

/**
 * A configuration module's default export, as JSON. In a process of its own: jest, in which the suites run, loads ES
 * modules only from Node 24.9 on.
 */
function evaluateModule(path: string): string {
  const { status, output, error } = spawnSync(process.execPath, ["-e", EVALUATION, path], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
    encoding: "utf8",
    timeout: EVALUATION_MS,
  });
  if (error !== undefined) throw error;
  const result = output[3] ?? "";
  if (status !== 0) throw new Error(result);
  return result;
}

function checkConfig(path: string, config: unknown): ProjectConfig {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw configError(path, "it must be an object", 'for example { "drivers": ["@acme/vfio-driver"] }');
  }
  const unknownKeys = Object.keys(config).filter((key) => !knownKeys.includes(key));
  if (unknownKeys.length > 0) {
    throw configError(path, `unknown key ${unknownKeys.join(", ")}`, `allowed: ${knownKeys.join(", ")}`);
  }
  const { drivers } = config as { drivers?: unknown };
  if (drivers === undefined) return {};
  if (!Array.isArray(drivers) || !drivers.every((name): name is string => typeof name === "string" && name !== "")) {
    throw configError(path, "drivers must be an array of package names or paths", 'for example ["./my-driver.cjs"]');
  }
  return { drivers };
}

function configError(path: string, problem: string, remedy: string, cause?: unknown): VfioError {
  return new VfioError(`${path}: ${problem}`, {
    code: "ERR_INVALID_CONFIG",
    operation: "load configuration",
    subject: path,
    remedy,
    cause,
  });
}
