import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** The user who runs the process, as far as it matters for the code that it loads. */
export interface CodeOwner {
  /** The process's user. */
  readonly uid: number;
  /** The user and group that root runs for: SUDO_UID and SUDO_GID. */
  readonly sudoUid?: number | undefined;
  /** See `sudoUid`. */
  readonly sudoGid?: number | undefined;
  /** The process is root of an ordinary user's VM. It can harm nobody else, and sees other users' files as nobody's. */
  readonly confined?: boolean;
}

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

/** The running process. */
export function codeOwner(environment: NodeJS.ProcessEnv = process.env): CodeOwner {
  const number = (text: string | undefined) => (/^\d+$/.test(text ?? "") ? Number(text) : undefined);
  return {
    uid: process.getuid?.() ?? 0,
    sudoUid: number(environment["SUDO_UID"]),
    sudoGid: number(environment["SUDO_GID"]),
  };
}

/**
 * Why root must not load code that happens to lie in `path`, a folder or a file. The reason is a user who owns it, or a
 * folder above it, or may write there, and is neither root nor the user whom root runs for (sudo). Undefined if the
 * code may be loaded. That is always so without root, because the process can then do no more than its user. The
 * function follows symbolic links first.
 */
export function untrustedFolder(path: string, owner: CodeOwner = codeOwner()): string | undefined {
  if (owner.uid !== 0 || owner.confined === true) return undefined;
  const first = realpathSync(path);
  for (let at = first; ; at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    if (uid !== 0 && uid !== owner.sudoUid) return `${at} belongs to user ${uid}`;
    // In a sticky folder (/tmp) others may add files, but not replace one.
    const replaceable = at === first || (mode & STICKY) === 0;
    if ((mode & WRITABLE_BY_OTHERS) !== 0 && replaceable) return `every user may write to ${at}`;
    if ((mode & WRITABLE_BY_GROUP) !== 0 && replaceable && gid !== 0 && gid !== owner.sudoGid) {
      return `group ${gid} may write to ${at}`;
    }
    if (dirname(at) === at) return undefined;
  }
}
