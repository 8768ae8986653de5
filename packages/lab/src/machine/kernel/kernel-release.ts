import { closeSync, openSync, readSync } from "node:fs";

/** The header of an x86 bzImage (the kernel's Documentation/arch/x86/boot.rst): `kernel_version` counts from {@link HEADER}. */
const HEADER = { at: 0x200, signatureAt: 0x202, signature: "HdrS", versionAt: 0x20e } as const;
/** Bytes of a release (`__NEW_UTS_LEN`). */
const LONGEST = 64;
const PART = 1 << 20;
/** The banner that the kernel prints first. An image that is not compressed holds it as it is. */
const BANNER = /Linux version (\d[^\s%]*) \(/;

/** The release of a kernel image, as `uname -r` tells it: `7.3.4`. Undefined where the image does not show it. */
export function kernelRelease(path: string): string | undefined {
  const file = openSync(path, "r");
  try {
    return releaseInHeader(file) ?? releaseInBanner(file);
  } finally {
    closeSync(file);
  }
}

function releaseInHeader(file: number): string | undefined {
  const { at, signatureAt, signature, versionAt } = HEADER;
  const head = readAt(file, 0, versionAt + 2);
  if (head.toString("latin1", signatureAt, signatureAt + signature.length) !== signature) return undefined;
  // A file that ends here is no whole image, which is for others to tell.
  if (head.length < versionAt + 2) return undefined;
  const pointer = head.readUInt16LE(versionAt);
  if (pointer === 0) return undefined;
  const [release = ""] = readAt(file, at + pointer, LONGEST)
    .toString("latin1")
    .split(/[\s\0]/);
  return release === "" ? undefined : release;
}

/** Parts overlap, so that a banner that lies across two is whole in one. */
function releaseInBanner(file: number): string | undefined {
  const overlap = 2 * LONGEST;
  for (let offset = 0; ; offset += PART - overlap) {
    const part = readAt(file, offset, PART);
    const [, release] = BANNER.exec(part.toString("latin1")) ?? [];
    if (release !== undefined) return release;
    if (part.length < PART) return undefined;
  }
}

function readAt(file: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
}
