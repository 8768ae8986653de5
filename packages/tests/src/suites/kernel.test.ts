/**
 * The suites on the kernel's devices that VFIO_SELFTESTS_BDF names (the lab sets it). Without one each test is skipped,
 * with the reason and the remedy.
 */
import { defineSuites, kernelTarget } from "@vfio-selftests/suites";

defineSuites(kernelTarget());
