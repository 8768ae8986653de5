import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SourcePatch } from "./patched-source";

const FOLDER = "samples/vfio-mdev";
const DRIVER = readFileSync(join(__dirname, "../../../kernel/mpin/mpin.c"), "utf8");

/**
 * Adds mpin, a mediated device of ours that pins, reads and writes the user's memory as user space tells it. In the kernel itself only
 * drivers of rare hardware call that side of VFIO.
 */
export const MPIN_PATCH: SourcePatch = {
  name: "mpin",
  content: createHash("sha256").update(DRIVER).digest("hex").slice(0, 12),
  folders: [FOLDER],
  apply(tree) {
    writeFileSync(join(tree, FOLDER, "mpin.c"), DRIVER);
    appendFileSync(join(tree, FOLDER, "Makefile"), "obj-$(CONFIG_VFIO_MDEV) += mpin.o\n");
  },
};
