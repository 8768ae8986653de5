/** The suites on every device model: what runs on any machine. */
import { modelsTarget } from "@vfio-selftests/cli/models-target";
import { environmentOptions } from "@vfio-selftests/harness";
import { defineSuites } from "@vfio-selftests/suites";
import { notInLab } from "../not-in-lab";

notInLab();
// The devices that the environment names are the kernel's.
defineSuites(modelsTarget(environmentOptions({})));
