import { VfioError } from "@vfio-selftests/core/errors";
import { printable } from "../../terminal/printable";

/**
 * A node of KernelCI's API, as far as this program reads it (github.com/kernelci/kernelci-core, kernelci/api/models.py). A node
 * that goes back carries all its other fields, too: the API replaces the whole document.
 */
export interface JobNode {
  readonly id: string;
  readonly name: string;
  /** Names from the checkout down to this node. */
  readonly path: readonly string[];
  readonly group?: string | null;
  /** `running`, `available`, `closing` or `done`. */
  readonly state: string;
  /** Null until it is done. */
  readonly result?: unknown;
  readonly artifacts: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The verdicts of a node. `incomplete` has an error code, too, and says nothing of the kernel. */
export type NodeResult = "pass" | "fail" | "skip" | "incomplete";

/** Error codes of the API that this program uses (`ErrorCodes`). KCIDB shows the first as MISS, the others as ERROR. */
export type NodeErrorCode = "invalid_job_params" | "Infrastructure" | "Canceled" | "Test";

/** A result that becomes a node below the job's. */
export interface TestResult {
  /** Steps with dots between them. */
  readonly name: string;
  readonly result: NodeResult;
  readonly errorCode?: NodeErrorCode;
  readonly message?: string;
}

/** What a job comes to. */
export interface JobResult extends Omit<TestResult, "name"> {
  readonly tests: readonly TestResult[];
}

/** MongoDB's object ids. An id becomes part of an address and of a path. */
const ID = /^[0-9a-f]{24}$/;

/** Checks an answer of the API. Throws ERR_KERNELCI_API. */
export function jobNode(value: unknown): JobNode {
  const node = isRecord(value) ? value : {};
  const { id, name, path, state, artifacts, data } = node;
  const isNode =
    typeof id === "string" &&
    ID.test(id) &&
    typeof name === "string" &&
    Array.isArray(path) &&
    path.every((step) => typeof step === "string") &&
    typeof state === "string";
  if (!isNode) {
    throw new VfioError(`the API gave what is no node: ${printable(JSON.stringify(node).slice(0, 200))}`, {
      code: "ERR_KERNELCI_API",
      operation: "farm kernelci",
      remedy: "check --api: the address of KernelCI's API with its version, https://api.kernelci.org/latest",
    });
  }
  return { ...node, id, name, path, state, artifacts: texts(artifacts), data: isRecord(data) ? data : {} };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function texts(value: unknown): Readonly<Record<string, string>> {
  const entries = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
