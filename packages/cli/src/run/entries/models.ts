/** The test file of a run on device models or other vfio-user devices. */
import { defineSuites } from "@vfio-selftests/suites";
import { modelsTarget } from "../../target/models-target";

defineSuites(modelsTarget());
