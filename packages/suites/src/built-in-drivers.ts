import type { Driver } from "@vfio-selftests/core";
import { igbDriver } from "@vfio-selftests/driver-igb";

/** The drivers that come with the toolkit. */
export const BUILT_IN_DRIVERS: readonly Driver[] = [igbDriver];
