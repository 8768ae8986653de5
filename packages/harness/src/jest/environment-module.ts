import { HarnessEnvironment } from "./jest-environment";

// The module is the class: a `default` beside `__esModule` means something else to each loader of ES modules.
export = HarnessEnvironment;
