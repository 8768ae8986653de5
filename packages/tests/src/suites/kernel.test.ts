/**
 * The suites on the kernel's devices that VFIO_SELFTESTS_BDF names (the lab sets it). Without one each test is skipped,
 * with the reason and the remedy.
 */
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { defineSuites } from "@vfio-selftests/suites";

defineSuites(kernelTarget());
