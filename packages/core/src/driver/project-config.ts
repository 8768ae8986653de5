import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { VfioError } from "../errors";

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
    if (path.endsWith(".json")) return JSON.parse(readFileSync(path, "utf8"));
    const exported: unknown = createRequire(path)(path);
    return typeof exported === "object" && exported !== null && "default" in exported ? exported.default : exported;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw configError(path, `it cannot be loaded: ${reason}`, "correct the file", error);
  }
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
