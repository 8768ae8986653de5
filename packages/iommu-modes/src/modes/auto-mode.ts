import { type Availability, type IommuBackend, type IommuMode, type ModeTraits, VfioError } from "@vfio-selftests/core";

/** The mode that `auto` took, and why. */
export interface AutoChoice {
  /** The mode that it took. */
  readonly mode: IommuMode;
  /** One line for people. */
  readonly reason: string;
}

/** Mode `auto`: the first of its candidates that is available. */
export class AutoMode implements IommuMode {
  /** Always `auto`. */
  readonly name = "auto";
  readonly description: string;
  readonly #candidates: readonly IommuMode[];

  /** Candidates in order of preference. */
  constructor(candidates: readonly IommuMode[]) {
    this.#candidates = candidates;
    this.description = `the first that works of ${candidates.map(({ name }) => name).join(", ")}`;
  }

  /** The traits of the mode that it would take now. Where none is available, those of the mode that it would prefer. */
  get traits(): ModeTraits {
    const [preferred] = this.#candidates;
    const taken = this.#candidates.find((mode) => mode.availability().available) ?? preferred;
    return taken?.traits ?? this.resolve().traits;
  }

  availability(): Availability {
    const answers = this.#candidates.map((mode) => ({ mode, answer: mode.availability() }));
    if (answers.some(({ answer }) => answer.available)) return { available: true };
    const refusals = answers.flatMap(({ mode, answer }) => (answer.available ? [] : [{ name: mode.name, ...answer }]));
    return {
      available: false,
      reason: refusals.map(({ name, reason }) => `${name}: ${reason}`).join("; "),
      remedy: refusals[0]?.remedy ?? "name a mode",
    };
  }

  /** Throws ERR_NO_MODE with every candidate's reason when none is available. */
  choose(): AutoChoice {
    const passed: string[] = [];
    for (const mode of this.#candidates) {
      const answer = mode.availability();
      if (answer.available) {
        const why = passed.length === 0 ? "it is available and preferred" : `not ${passed.join("; not ")}`;
        return { mode, reason: `${mode.name}: ${why}` };
      }
      passed.push(`${mode.name} (${answer.reason})`);
    }
    const availability = this.availability();
    throw new VfioError(`no IOMMU mode is available: ${passed.join("; ")}`, {
      code: "ERR_NO_MODE",
      operation: "choose IOMMU mode",
      ...(availability.available ? {} : { remedy: availability.remedy }),
    });
  }

  resolve(): IommuMode {
    return this.choose().mode;
  }

  /** The back end carries the name of the chosen mode. */
  open(): IommuBackend {
    return this.resolve().open();
  }
}
