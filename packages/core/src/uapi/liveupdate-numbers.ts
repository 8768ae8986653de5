/** Requests (`_IO(0xba, n)`) and numbers of linux/liveupdate.h under the kernel's names. */

export const LIVEUPDATE_IOCTL_CREATE_SESSION = 0xba00;
export const LIVEUPDATE_IOCTL_RETRIEVE_SESSION = 0xba01;
export const LIVEUPDATE_SESSION_PRESERVE_FD = 0xba40;
export const LIVEUPDATE_SESSION_RETRIEVE_FD = 0xba41;
export const LIVEUPDATE_SESSION_FINISH = 0xba42;
export const LIVEUPDATE_SESSION_GET_NAME = 0xba43;

/** Bytes of a session's name, with the NUL at its end. */
export const LIVEUPDATE_SESSION_NAME_LENGTH = 64;
