import { VfioError } from "@vfio-selftests/core/errors";
import { isRecord, type JobNode, jobNode, type JobResult, type TestResult } from "./job-node";
import { readText, type WebRequest } from "./web";

/** Milliseconds for an answer. A hierarchy has a node for each test, and the API writes them one after the other. */
const ANSWER_MS = 60_000;
const HIERARCHY_MS = 300_000;
/** The most events of an answer that the API allows, each with its node. */
const MOST_EVENTS = 1000;
const MOST_BYTES = 128 * 2 ** 20;

/** Jobs that waited when the API was asked. */
export interface WaitingJobs {
  /** Each once, as it is now. */
  readonly jobs: readonly JobNode[];
  /** The time of the last event, for the next question. */
  readonly until: string;
  /** Whether there are more events than one answer holds. */
  readonly more: boolean;
}

/** The part of KernelCI's API that a lab needs (github.com/kernelci/kernelci-api, api/main.py). */
export class KernelCiApi {
  readonly #address: string;
  readonly #token: string;

  /** @param address with the API's version, without a slash at its end. */
  constructor(address: string, token: string) {
    this.#address = address;
    this.#token = token;
  }

  /** The job nodes that have become available since a time of an earlier answer, or of {@link eventTime}. */
  async waitingJobs(since: string, signal: AbortSignal): Promise<WaitingJobs> {
    const query = new URLSearchParams({
      kind: "job",
      state: "available",
      recursive: "true",
      limit: String(MOST_EVENTS),
      from: since,
    });
    const events = await this.#ask(`events?${query.toString()}`, { signal });
    if (!Array.isArray(events)) throw strangeAnswer("events", "a list");
    const known = events.filter(isRecord);
    // The node of an event is gone where somebody deleted it.
    const nodes = known.flatMap(({ node }) => (isRecord(node) ? [jobNode(node)] : []));
    const times = known.flatMap(({ timestamp }) => (typeof timestamp === "string" ? [timestamp] : []));
    const until = times.reduce((last, time) => (time > last ? time : last), since);
    const jobs = [...new Map(nodes.map((node) => [node.id, node])).values()];
    return { jobs, until, more: events.length >= MOST_EVENTS && until > since };
  }

  async node(id: string, signal: AbortSignal): Promise<JobNode> {
    return jobNode(await this.#ask(`node/${id}`, { signal }));
  }

  /** Replaces these fields of a node. Fields within `data` that are left out are gone. */
  async patch(id: string, body: { readonly data: JobNode["data"] }, signal: AbortSignal): Promise<void> {
    await this.#ask(`node/${id}`, { method: "PATCH", body, signal });
  }

  /** Ends a job's node, and puts a node below it for each test. A second time, the nodes of the tests would be there twice. */
  async finish(node: JobNode, result: JobResult, signal: AbortSignal): Promise<void> {
    const body = {
      node: { ...node, state: "done", result: result.result, data: { ...node.data, ...errorData(result) } },
      child_nodes: result.tests.map((test) => ({ node: testNode(test, node), child_nodes: [] })),
    };
    await this.#ask(`nodes/${node.id}`, { method: "PUT", body, signal, timeoutMs: HIERARCHY_MS });
  }

  async #ask(path: string, request: Partial<WebRequest> & Pick<WebRequest, "signal">): Promise<unknown> {
    const url = new URL(`${this.#address}/${path}`);
    const text = await readText(url, { timeoutMs: ANSWER_MS, most: MOST_BYTES, token: this.#token, ...request });
    try {
      return JSON.parse(text);
    } catch {
      throw strangeAnswer(path, "JSON");
    }
  }
}

/** A time as the API writes and reads it: in UTC, without a zone. */
export function eventTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace("Z", "");
}

/** What a test's node has from its job's (`submit_results` of kernelci/api/helper.py). */
const INHERITED = [
  "kernel_revision",
  "kernel_type",
  "arch",
  "defconfig",
  "config_full",
  "compiler",
  "platform",
  "runtime",
];

function testNode(test: TestResult, job: JobNode) {
  return {
    kind: "test",
    name: test.name,
    path: [...job.path, test.name],
    group: job.group ?? job.name,
    state: "done",
    result: test.result,
    data: { ...Object.fromEntries(INHERITED.map((name) => [name, job.data[name] ?? null])), ...errorData(test) },
  };
}

function errorData({ errorCode, message }: Pick<TestResult, "errorCode" | "message">) {
  // A job that KernelCI gave up before its result came has the code of that.
  return { error_code: errorCode ?? null, error_msg: message ?? null };
}

function strangeAnswer(path: string, expected: string): VfioError {
  return new VfioError(`the API's answer to ${path.split("?")[0]} is not ${expected}`, {
    code: "ERR_KERNELCI_API",
    operation: "farm kernelci",
    remedy: "check --api: the address of KernelCI's API with its version, https://api.kernelci.org/latest",
  });
}
