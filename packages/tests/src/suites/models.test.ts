/** The suites on every device model: what runs on any machine. */
import { defineSuites, modelsTarget } from "@vfio-selftests/suites";

defineSuites(modelsTarget({}));
