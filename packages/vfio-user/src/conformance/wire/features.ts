/** Methods and indexes of VFIO_USER_DEVICE_FEATURE, those of linux/vfio.h, by hand as the numbers of the commands. */
export const GET = 1 << 16;
export const SET = 1 << 17;
export const PROBE = 1 << 18;

export const MIGRATION = 1;
export const MIG_DEVICE_STATE = 2;
export const LOGGING_START = 6;
export const LOGGING_STOP = 7;
export const LOGGING_REPORT = 8;
