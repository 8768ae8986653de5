/** A device's migration: its states, its data, and the log of the pages that it writes (`@vfio-selftests/core/migration`). */
export type { MigrationData } from "../../contracts/vfio-device";
export { DeviceMigration, type MigrationFeatures } from "./device-migration";
export { DmaLog, type DmaLogOptions } from "./dma-log";
