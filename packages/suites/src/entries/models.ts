/** The test file of a run on device models or other vfio-user devices. */
import { modelsTarget } from "../models-target";
import { defineSuites } from "../suite-list";

defineSuites(modelsTarget());
