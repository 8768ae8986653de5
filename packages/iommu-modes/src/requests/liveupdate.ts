/** The ioctls of the Live Update Orchestrator (linux/liveupdate.h). No other file writes or reads them. */
import { argumentError } from "@vfio-selftests/core/errors";
import {
  LIVEUPDATE_IOCTL_CREATE_SESSION,
  liveupdate_ioctl_create_session,
  LIVEUPDATE_IOCTL_RETRIEVE_SESSION,
  liveupdate_ioctl_retrieve_session,
  LIVEUPDATE_SESSION_FINISH,
  liveupdate_session_finish,
  LIVEUPDATE_SESSION_GET_NAME,
  liveupdate_session_get_name,
  LIVEUPDATE_SESSION_NAME_LENGTH,
  LIVEUPDATE_SESSION_PRESERVE_FD,
  liveupdate_session_preserve_fd,
  LIVEUPDATE_SESSION_RETRIEVE_FD,
  liveupdate_session_retrieve_fd,
  type StructView,
} from "@vfio-selftests/core/uapi";
import { noAnswer, structIoctl } from "../kernel/ioctl";

/** A name lies behind two fields of four bytes, in all three structures that have one. */
const NAME_OFFSET = 8;

/** On /dev/liveupdate. Answers the descriptor of the new session, which the caller owns. */
export const createSession = structIoctl({ LIVEUPDATE_IOCTL_CREATE_SESSION }, liveupdate_ioctl_create_session, {
  write: (view, name: string) => setName(view, name),
  answer: (view) => liveupdate_ioctl_create_session.fields.fd.get(view),
});

/** On /dev/liveupdate. Answers the descriptor of a session that the kernel before this one had. The caller owns it. */
export const retrieveSession = structIoctl({ LIVEUPDATE_IOCTL_RETRIEVE_SESSION }, liveupdate_ioctl_retrieve_session, {
  write: (view, name: string) => setName(view, name),
  answer: (view) => liveupdate_ioctl_retrieve_session.fields.fd.get(view),
});

const preserve = liveupdate_session_preserve_fd.fields;
/** On a session. The caller keeps the descriptor. */
export const preserveFile = structIoctl({ LIVEUPDATE_SESSION_PRESERVE_FD }, liveupdate_session_preserve_fd, {
  write: (view, descriptor: number, token: bigint) => {
    preserve.fd.set(view, descriptor);
    preserve.token.set(view, token);
  },
  answer: noAnswer,
});

/** On a session. Answers the descriptor of the file that was preserved under the token. The caller owns it. */
export const retrieveFile = structIoctl({ LIVEUPDATE_SESSION_RETRIEVE_FD }, liveupdate_session_retrieve_fd, {
  write: (view, token: bigint) => liveupdate_session_retrieve_fd.fields.token.set(view, token),
  answer: (view) => liveupdate_session_retrieve_fd.fields.fd.get(view),
});

/** On a session. */
export const finishSession = structIoctl({ LIVEUPDATE_SESSION_FINISH }, liveupdate_session_finish, {
  write: noAnswer,
  answer: noAnswer,
});

/** On a session. Answers its name. */
export const sessionName = structIoctl({ LIVEUPDATE_SESSION_GET_NAME }, liveupdate_session_get_name, {
  write: noAnswer,
  answer: (view) => {
    const bytes = Buffer.from(view.bytes.subarray(NAME_OFFSET));
    return bytes.toString("utf8", 0, bytes.indexOf(0));
  },
});

/** Longer names would end the structure without a NUL, and the kernel cuts none. */
function setName(view: StructView, name: string): void {
  const bytes = Buffer.from(name, "utf8");
  if (bytes.length === 0 || bytes.length >= LIVEUPDATE_SESSION_NAME_LENGTH || bytes.includes(0)) {
    const allowed = `1 to ${LIVEUPDATE_SESSION_NAME_LENGTH - 1} bytes without a NUL`;
    throw argumentError("live update session", "name", name, allowed);
  }
  view.bytes.fill(0, NAME_OFFSET);
  view.bytes.set(bytes, NAME_OFFSET);
}
