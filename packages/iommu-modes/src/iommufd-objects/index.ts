export { FaultQueue, decodePageRequests, type PageAnswer, type PageRequest } from "./fault-queue";
export { HardwarePageTable, type HardwarePageTableOptions } from "./hardware-page-table";
export { IoAddressSpace, type CopyMappingOptions } from "./io-address-space";
export { destroyObject, type ObjectCalls } from "./object-calls";
