import { join } from "node:path";

/** The public keys of Debian's archive, which this package carries: a system that is not Debian has none. */
export const DEBIAN_KEY_RING = join(__dirname, "../../../debian/debian-archive-keyring.gpg");
