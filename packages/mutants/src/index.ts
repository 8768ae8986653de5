export { killsOf, type KnownKill } from "./campaign/known-kills";
export { listSample, measure, type MeasureOptions, type Measurement, tryKnownKills } from "./campaign/measure";
export { operatorLines, scoreOf, STATUS_TEXT, summaryLines, survivorLines, type TriedMutant } from "./campaign/report";
export { isNoticed, type MutantResult, type MutantStatus } from "./campaign/result";
export { mutantKernel, type MutantKernel, type MutantKernelOptions } from "./kernel/mutant-kernel";
export { DEFAULT_PATHS } from "./kernel/source-files";
export { OPERATORS } from "./operators/table";
export type { Mutant } from "./source/mutant";
