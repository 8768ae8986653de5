import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { VfioError } from "@vfio-selftests/core/errors";
import { INTERRUPT_STATUS, type InterruptSignal, onInterrupt } from "@vfio-selftests/lab";
import { ExitCode } from "../../exit-codes";
import { tellError } from "../../report-error";
import { requireWritable } from "../../run/report-file";
import { makeReportFolder } from "../../run/report-folder";
import { printable } from "../../terminal/printable";
import type { JobNode, JobResult } from "./job-node";
import { noResult } from "./job-result";
import { eventTime, KernelCiApi } from "./kernelci-api";
import type { PollOptions } from "./options";
import { publicWords } from "./quoting-error";
import { runJob } from "./run-job";
import { isWebError } from "./web";

const INTERVAL_MS = 30_000;
/** After how many failures in a row the poller gives up: an hour, by default. */
const MOST_TRIES = 15;
/** The pauses double up to this many intervals. */
const LONGEST_PAUSE = 10;
/** An older job has timed out, because KernelCI gives a node 6 hours. The rest allows for wrong clocks and time zones. */
const OLDEST_JOB_MS = 24 * 3600_000;
/** How long an interrupted poller tries to give its job back, in milliseconds. */
const FAREWELL_MS = 10_000;
const OPERATION = "farm kernelci";
const TOKEN_VARIABLE = "KERNELCI_API_TOKEN";

/** `farm kernelci`: runs KernelCI's jobs for this lab, one after the other, until it is interrupted. */
export async function pollKernelCi(options: PollOptions): Promise<number> {
  const token = process.env[TOKEN_VARIABLE] ?? "";
  if (token === "") {
    throw new VfioError(`${TOKEN_VARIABLE} is not set: KernelCI takes results only with a token`, {
      code: "ERR_KERNELCI_API",
      operation: OPERATION,
      remedy: `ask KernelCI's admins for a user and a token of this lab, and put the token into ${TOKEN_VARIABLE}`,
    });
  }
  requireSecrecy(options.api);
  makeReportFolder(options.output, OPERATION);
  requireWritable(join(options.output, "report.json"), OPERATION);
  const stop = new AbortController();
  let interrupt: InterruptSignal | undefined;
  using _handler = onInterrupt((signal) => {
    interrupt = signal;
    stop.abort();
  });
  try {
    return await new Poller(new KernelCiApi(options.api, token), options, stop.signal).run();
  } catch (error) {
    if (interrupt === undefined) throw error;
    return INTERRUPT_STATUS[interrupt];
  }
}

/** The token would cross the network where everybody on the way can read it. */
function requireSecrecy(api: string): void {
  const { protocol, hostname } = new URL(api);
  if (protocol === "https:" || LOOPBACK.test(hostname)) return;
  throw new VfioError(`the token would go to ${api} unencrypted`, {
    code: "ERR_INVALID_ARGUMENT",
    operation: OPERATION,
    subject: api,
    remedy:
      "give --api an address that begins with https://; plain http:// is for a server on this machine: http://localhost:8000",
  });
}

/** As `URL` writes a host: an address of IPv4 has four numbers, whatever was typed. */
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

class Poller {
  readonly #api: KernelCiApi;
  readonly #options: PollOptions;
  readonly #stop: AbortSignal;

  constructor(api: KernelCiApi, options: PollOptions, stop: AbortSignal) {
    this.#api = api;
    this.#options = options;
    this.#stop = stop;
  }

  async run(): Promise<number> {
    const { once, runtime, api, intervalMs = INTERVAL_MS } = this.#options;
    if (once !== true) tell(`waiting for jobs of ${runtime} at ${api}`);
    let since = eventTime(Date.now() - OLDEST_JOB_MS);
    let taken = 0;
    for (;;) {
      const { jobs, until, more } = await this.#patiently(() => this.#api.waitingJobs(since, this.#stop));
      since = until;
      for (const job of jobs.filter((node) => this.#isOurs(node))) taken += Number(await this.#take(job));
      if (more) continue;
      if (once === true) return taken > 0 ? ExitCode.ok : ExitCode.nothingRan;
      await delay(intervalMs, undefined, { signal: this.#stop });
    }
  }

  #isOurs({ state, artifacts, data }: JobNode): boolean {
    const { runtime, platforms } = this.#options;
    const { runtime: forLab, platform, job_id: taken } = data;
    const isMine = forLab === runtime && (platforms === undefined || platforms.includes(String(platform)));
    return isMine && state === "available" && (taken ?? null) === null && artifacts["job_definition"] !== undefined;
  }

  /** Runs a job to its end. False where another lab has taken it, or it is over. */
  async #take(job: JobNode): Promise<boolean> {
    if (!(await this.#claim(job))) return false;
    tell(`job ${job.id} (${job.name}): taken`);
    const result = await this.#runOrGiveUp(job);
    const counts = ["pass", "fail", "skip", "incomplete"].map((name) => {
      const count = result.tests.filter((test) => test.result === name).length;
      return count === 0 ? [] : [`${count} ${name}`];
    });
    await this.#send(job, result);
    tell(
      `job ${job.id}: ${[result.result, ...counts.flat()].join(", ")}${result.message ? ` (${result.message})` : ""}`,
    );
    return true;
  }

  /**
   * Writes a job id of ours on the node, as the API has no state of its own for that. It cannot compare and set: two pollers
   * that ask for the same jobs at the same moment can both take one.
   */
  async #claim(job: JobNode): Promise<boolean> {
    const { id } = job;
    const jobId = `${this.#options.runtime}:${randomUUID()}`;
    try {
      const now = await this.#patiently(() => this.#api.node(id, this.#stop));
      if (!this.#isOurs(now)) return false;
      await this.#patiently(() => this.#api.patch(id, { data: { ...now.data, job_id: jobId } }, this.#stop));
      const then = await this.#patiently(() => this.#api.node(id, this.#stop));
      return then.data["job_id"] === jobId;
    } catch (error) {
      // It was deleted, or KernelCI ended it, since it was listed.
      if (isWebError(error) && (error.status === 404 || error.status === 400)) return false;
      // The API may have the claim, even where its answer did not come. Without it, the job is as it was.
      const signal = AbortSignal.timeout(FAREWELL_MS);
      const last = await this.#api.node(id, signal).catch(() => undefined);
      if (last?.data["job_id"] === jobId) await this.#giveBack(job, error, signal);
      throw error;
    }
  }

  /** When this poller ends before the job, KernelCI learns that, and need not wait for the job's time to run out. */
  async #runOrGiveUp(job: JobNode): Promise<JobResult> {
    try {
      const result = await runJob(job, this.#options, this.#stop);
      this.#stop.throwIfAborted();
      return result;
    } catch (error) {
      await this.#giveBack(job, error, AbortSignal.timeout(FAREWELL_MS));
      throw error;
    }
  }

  async #giveBack(job: JobNode, error: unknown, signal: AbortSignal): Promise<void> {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    const message = error instanceof VfioError ? publicWords(error) : first;
    const isStopped = this.#stop.aborted;
    const result = isStopped ? noResult("Canceled", "the lab was stopped") : noResult("Infrastructure", message);
    await this.#sendOnce(job, result, signal).catch(tellError);
  }

  async #send(job: JobNode, result: JobResult): Promise<void> {
    try {
      let tries = 0;
      await this.#patiently(async () => {
        tries += 1;
        // The answer to the first try may have been lost, and not the result.
        if (tries > 1 && (await this.#hasResult(job, result))) return;
        await this.#sendOnce(job, result, this.#stop);
      });
    } catch (error) {
      const remedy = `\`vfio-selftests report kcidb ${this.#options.output}/${job.id}/report.json\` makes a submission of it`;
      tell(`job ${job.id}: the result (${result.result}) could not be sent. ${remedy}`);
      throw error;
    }
  }

  /** The node is read again, because all of it goes back. */
  async #sendOnce({ id }: JobNode, result: JobResult, signal: AbortSignal): Promise<void> {
    await this.#api.finish(await this.#api.node(id, signal), result, signal);
  }

  async #hasResult({ id }: JobNode, { result, errorCode }: JobResult): Promise<boolean> {
    const now = await this.#api.node(id, this.#stop);
    return now.state === "done" && now.result === result && (now.data["error_code"] ?? undefined) === errorCode;
  }

  /** Asks again while the API is away. Throws its last error after {@link MOST_TRIES}, and any other error at once. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    const { intervalMs = INTERVAL_MS } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        if (!isWebError(error) || !error.passing || tries === MOST_TRIES) throw error;
        const pause = intervalMs * Math.min(2 ** (tries - 1), LONGEST_PAUSE);
        tell(`${error.message}; the next try (${tries + 1} of ${MOST_TRIES}) is in ${Math.ceil(pause / 1000)} s`);
        await delay(pause, undefined, { signal: this.#stop });
      }
    }
  }
}

function tell(line: string): void {
  process.stderr.write(`kernelci: ${printable(line)}\n`);
}
