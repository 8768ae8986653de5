import { descriptorChecks } from "./descriptor-checks";
import { disconnectChecks } from "./disconnect-checks";
import { dmaMapChecks, dmaUnmapChecks } from "./dma-checks";
import type { ServerCheck } from "./family";
import { featureChecks, migrationDataChecks } from "./feature-checks";
import { concurrencyChecks, headerChecks } from "./header-checks";
import { deviceInfoChecks, irqInfoChecks, regionInfoChecks, regionIoFdsChecks } from "./info-checks";
import { irqChecks } from "./irq-checks";
import { dmaLoggingChecks, migratedDataChecks, migrationStateChecks } from "./migration-checks";
import { regionReadChecks, regionWriteChecks, writeMultiChecks } from "./region-checks";
import { resetChecks } from "./reset-checks";
import { streamChecks } from "./stream-checks";
import { versionChecks } from "./version-checks";

/** Everything that the harness demands of a server, in the order of the specification, and what may kill one last. */
export const SERVER_CHECKS: readonly ServerCheck[] = [
  ...headerChecks,
  ...concurrencyChecks,
  ...versionChecks,
  ...dmaMapChecks,
  ...dmaUnmapChecks,
  ...deviceInfoChecks,
  ...regionInfoChecks,
  ...regionIoFdsChecks,
  ...irqInfoChecks,
  ...irqChecks,
  ...regionReadChecks,
  ...regionWriteChecks,
  ...resetChecks,
  ...writeMultiChecks,
  ...featureChecks,
  ...migrationStateChecks,
  ...migrationDataChecks,
  ...migratedDataChecks,
  ...dmaLoggingChecks,
  ...disconnectChecks,
  ...descriptorChecks,
  ...streamChecks,
];
