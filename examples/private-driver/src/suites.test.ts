import { defineSuites } from "@vfio-selftests/suites";
import { testTarget } from "./testing/target.js";

// Every suite of vfio-selftests that applies to the target.
defineSuites(testTarget());
