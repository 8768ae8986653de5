/**
 * Structures of linux/liveupdate.h under the kernel's names. Offsets and sizes in bytes. `size` is set to the layout's
 * size. Where a session has a name, its {@link LIVEUPDATE_SESSION_NAME_LENGTH} bytes end the structure.
 */
import { s32, struct, u32, u64 } from "./struct";

export const liveupdate_ioctl_create_session = struct(72, { size: u32(0), fd: s32(4) });
export const liveupdate_ioctl_retrieve_session = struct(72, { size: u32(0), fd: s32(4) });
export const liveupdate_session_preserve_fd = struct(16, { size: u32(0), fd: s32(4), token: u64(8) });
export const liveupdate_session_retrieve_fd = struct(16, { size: u32(0), fd: s32(4), token: u64(8) });
export const liveupdate_session_finish = struct(8, { size: u32(0), reserved: u32(4) });
export const liveupdate_session_get_name = struct(72, { size: u32(0), reserved: u32(4) });
