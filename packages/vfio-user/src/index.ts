export { VfioUserMode } from "./client/vfio-user-mode";
export { VfioUserBackend } from "./client/vfio-user-backend";
export type { ModelConnection, VfioUserOptions } from "./client/vfio-user-backend";
export { VfioUserDevice } from "./client/vfio-user-device";
export type { PostedWrite } from "./client/vfio-user-device";

export { PciIrq, PciRegion } from "./server/device-model";
export type {
  DeviceHost,
  DeviceModel,
  DmaFault,
  DmaSpace,
  ModelIrq,
  ModelMigration,
  ModelRegion,
  ModelRegionMemory,
} from "./server/device-model";
export { ListeningSocket } from "./server/listen/listening-socket";
export { ModelWorker } from "./server/worker/model-worker";
export type { ModelWorkerOptions } from "./server/worker/model-worker";
export { serveConnection } from "./server/listen/serve-connection";
export { serveClients } from "./server/listen/serve-clients";
export { ServedDevice } from "./server/served-device";
export type { ServedDeviceOptions } from "./server/served-device";
