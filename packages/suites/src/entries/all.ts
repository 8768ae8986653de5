/** The one test file of a run: every suite, on the target that the environment names. */
import { defineSuites } from "../suite-list";
import { targetFromEnvironment } from "../target-from-environment";

defineSuites(targetFromEnvironment());
