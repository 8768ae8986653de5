import type { CommandName } from "../../protocol/commands";

/**
 * The numbers of the specification's table "Commands", by hand as all of a check's messages: a wrong number in the protocol's
 * own table would otherwise be wrong on both sides, and no check would see it.
 */
export const VERSION = 1;
export const DMA_MAP = 2;
export const DMA_UNMAP = 3;
export const GET_INFO = 4;
export const REGION_INFO = 5;
export const IO_FDS = 6;
export const IRQ_INFO = 7;
export const SET_IRQS = 8;
export const REGION_READ = 9;
export const REGION_WRITE = 10;
export const DMA_READ = 11;
export const DMA_WRITE = 12;
export const RESET = 13;
/** From an early version. */
export const DIRTY_PAGES = 14;
export const WRITE_MULTI = 15;
export const FEATURE = 16;
export const MIG_DATA_READ = 17;
export const MIG_DATA_WRITE = 18;

/** By the specification's names. */
export const NUMBERS: Readonly<Record<CommandName, number>> = {
  VERSION,
  DMA_MAP,
  DMA_UNMAP,
  DEVICE_GET_INFO: GET_INFO,
  DEVICE_GET_REGION_INFO: REGION_INFO,
  DEVICE_GET_REGION_IO_FDS: IO_FDS,
  DEVICE_GET_IRQ_INFO: IRQ_INFO,
  DEVICE_SET_IRQS: SET_IRQS,
  REGION_READ,
  REGION_WRITE,
  DMA_READ,
  DMA_WRITE,
  DEVICE_RESET: RESET,
  DIRTY_PAGES,
  REGION_WRITE_MULTI: WRITE_MULTI,
  DEVICE_FEATURE: FEATURE,
  MIG_DATA_READ,
  MIG_DATA_WRITE,
};
