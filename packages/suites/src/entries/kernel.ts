/** The test file of a run on a kernel's devices: one for all suites, because each file loads every module anew. */
import { kernelTarget } from "../kernel-target";
import { defineSuites } from "../suite-list";

defineSuites(kernelTarget());
