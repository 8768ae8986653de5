import { dirname } from "node:path";
import { loadBinding } from "./load-binding";

export type {
  Bytes,
  CpuFeatures,
  MapOptions,
  NativeBinding,
  NativeIo,
  NativeMemory,
  NativePoller,
  ReceivedMessage,
} from "./binding";

// Named one by one: an ES module that imports this package sees only names written out here.
export const {
  open,
  close,
  dup,
  pread,
  pwrite,
  read,
  write,
  ftruncate,
  fcntl,
  memfdCreate,
  ioctl,
  mapMemory,
  mapIo,
  storeFence,
  pageSize,
  cpuFeatures,
  eventfd,
  pollBlocking,
  createPoller,
  socketpair,
  unixListen,
  unixAccept,
  unixConnect,
  sendMessage,
  receiveMessage,
  gettid,
  getAffinity,
  setAffinity,
  interruptThread,
  getResourceLimit,
  setResourceLimit,
} = loadBinding(dirname(__dirname));
