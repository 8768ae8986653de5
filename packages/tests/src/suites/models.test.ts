/** The suites on every device model. They run on any machine. */
import { modelsTarget } from "@vfio-selftests/cli/models-target";
import { environmentOptions } from "@vfio-selftests/harness";
import { defineSuites } from "@vfio-selftests/suites";
import { notInLab } from "../not-in-lab";

notInLab();
// The environment is left out, since its devices are the kernel's.
defineSuites(modelsTarget(environmentOptions({})));
