import { HarnessReporter } from "./reporter";

// The module is the class, as in environment-module.ts.
export = HarnessReporter;
