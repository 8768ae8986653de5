/** The suites on every device model: what runs on any machine. */
import { defineSuites, modelsTarget } from "@vfio-selftests/suites";
import { notInLab } from "../not-in-lab";

notInLab();
defineSuites(modelsTarget({}));
