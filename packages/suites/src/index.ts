export { kernelTargetWith } from "./kernel-target";
export { DEFAULT_IRQ_TEST, parseIrqTestOptions, type IrqTestOptions } from "./rigs/interrupts/kvm-irq/irq-test-options";
export type { Kvm } from "./rigs/interrupts/kvm-irq/kvm";
export { SUITES, defineSuites, type SuiteEntry } from "./suite-list";
export type { Suite, SuiteTarget } from "./suite-target";
export { UPSTREAM_FIXTURES, UPSTREAM_IDS, upstreamFixtureIds } from "./upstream-ids";
