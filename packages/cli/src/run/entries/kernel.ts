/**
 * The test file of a run on a kernel's devices. One file has all suites, because jest loads every module anew for each
 * file.
 */
import { defineSuites } from "@vfio-selftests/suites";
import { kernelTarget } from "../../target/kernel-target";

defineSuites(kernelTarget());
