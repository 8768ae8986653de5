/** The test file of a run on a kernel's devices: one for all suites, because each file loads every module anew. */
import { defineSuites } from "@vfio-selftests/suites";
import { kernelTarget } from "../../target/kernel-target";

defineSuites(kernelTarget());
