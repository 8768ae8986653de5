import type { NativeBinding } from "./binding";
import { loadBinding } from "./load-binding";
import { type Addon, withQuickAccess } from "./quick-access";

export type {
  Bytes,
  CpuFeatures,
  MapOptions,
  NativeBinding,
  NativeIo,
  NativeIoctl,
  NativeMemory,
  NativePoller,
  NativeSocket,
  ReceivedMessage,
} from "./binding";
export { addonPackage } from "./load-binding";

/**
 * The addon. It is one object rather than loose functions, so that a call shows its origin (`native.read`) and takes no
 * name of the C library from the importing module.
 */
export const native: NativeBinding = withQuickAccess(loadBinding(__filename) as Addon);
