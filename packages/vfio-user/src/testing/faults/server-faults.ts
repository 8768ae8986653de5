import { DEVICE_FAULTS } from "./device-faults";
import type { ServerFault } from "./fault-replies";
import { MESSAGE_FAULTS } from "./message-faults";
import { MIGRATION_FAULTS } from "./migration-faults";

/** Every fault of a server that a check must notice. */
export const SERVER_FAULTS: readonly ServerFault[] = [...MESSAGE_FAULTS, ...DEVICE_FAULTS, ...MIGRATION_FAULTS];
