import { AFTERWARDS, BOOT } from "@vfio-selftests/coverage";
import { identify } from "@vfio-selftests/harness";
import {
  type CircusEvent,
  type CircusState,
  HarnessEnvironment,
  type HarnessEnvironmentOptions,
  titlesOf,
} from "@vfio-selftests/harness/jest";
import { GcovRecorder } from "./gcov-recorder";

export interface CoverageEnvironmentOptions extends HarnessEnvironmentOptions {
  /** Gets an archive of the kernel's counters for each test. */
  readonly gcov: string;
}

type Circumstances = ConstructorParameters<typeof HarnessEnvironment>;

/** The harness's environment, which also keeps what the kernel ran during each test, hooks before it included. */
export default class CoverageEnvironment extends HarnessEnvironment {
  readonly #recorder: GcovRecorder;

  constructor(config: Circumstances[0], context: Circumstances[1]) {
    super(config, context);
    const { gcov } = config.projectConfig.testEnvironmentOptions as unknown as CoverageEnvironmentOptions;
    this.#recorder = new GcovRecorder(gcov);
  }

  override async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    await super.handleTestEvent(event, state);
    if (event.name === "run_start") this.#recorder.record(BOOT);
    if (event.name === "run_finish") this.#recorder.record(AFTERWARDS);
    if (event.name === "test_done" && event.test !== undefined)
      this.#recorder.record(identify(titlesOf(event.test)).id);
  }
}
