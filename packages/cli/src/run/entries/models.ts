/** The test file of a run on device models or other vfio-user devices. */
import { modelsTarget } from "../../target/models-target";
import { defineSuites } from "@vfio-selftests/suites";

defineSuites(modelsTarget());
