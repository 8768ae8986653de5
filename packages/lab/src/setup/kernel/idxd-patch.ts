import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SourcePatch } from "./patched-source";

const FOLDER = "drivers/dma/idxd";

/**
 * Takes the place of `iosubmit_cmds512` (arch/x86/include/asm/io.h), which is MOVDIR64B and nothing else. A real portal
 * takes a descriptor as one store of 64 bytes. The portals of the DSA model take eight stores of 8 bytes, too, in
 * ascending order, with none of another descriptor between them (packages/device-models/docs/dsa.md).
 */
const DECLARATION = `
void idxd_portal_write(void __iomem *portal, const void *descriptor, size_t count);
`;
const DEFINITION = `
void idxd_portal_write(void __iomem *portal, const void *descriptor, size_t count)
{
	static DEFINE_SPINLOCK(lock);
	const u64 *words = descriptor;
	unsigned long flags;
	size_t word;

	if (cpu_feature_enabled(X86_FEATURE_MOVDIR64B)) {
		iosubmit_cmds512(portal, descriptor, count);
		return;
	}
	spin_lock_irqsave(&lock, flags);
	for (word = 0; word < 8 * count; word++)
		writeq(words[word], portal + 8 * (word % 8));
	spin_unlock_irqrestore(&lock, flags);
}
`;

/**
 * Lets idxd, the kernel's driver for Intel DSA, run on a CPU without MOVDIR64B, as an emulated one is: it drops idxd's
 * check at load, and writes descriptors by {@link DEFINITION}. A source that does without the check stays as it is.
 */
export const IDXD_PATCH: SourcePatch = {
  // It is in the kernel's key: whoever changes the texts above gives them another `content`, as mpin's patch has.
  name: "idxd",
  folders: [FOLDER],
  apply(tree) {
    const files = readdirSync(join(tree, FOLDER)).filter((name) => /\.[ch]$/.test(name));
    const texts = new Map(files.map((name) => [name, readFileSync(join(tree, FOLDER, name), "utf8")]));
    for (const [name, text] of patchedIdxd(texts)) writeFileSync(join(tree, FOLDER, name), text);
  },
};

const CHECK = "!cpu_feature_enabled(X86_FEATURE_MOVDIR64B)";
const SUBMIT = "iosubmit_cmds512(";
const HOME = "submit.c";
const OWN_HEADER = '#include "idxd.h"\n';

/** The files of idxd that the patch changes, by name. None where idxd is another one than the patch is for. */
export function patchedIdxd(files: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const users = [...files].filter(([, text]) => text.includes(SUBMIT)).map(([name]) => name);
  const isKnown =
    files.get("init.c")?.includes(CHECK) === true &&
    users.includes(HOME) &&
    users.every((name) => files.get(name)?.includes(OWN_HEADER) === true);
  if (!isKnown) return new Map();
  const patched = [...files].flatMap(([name, text]): [string, string][] => {
    if (!users.includes(name)) return [];
    const declared = text.replaceAll(SUBMIT, "idxd_portal_write(").replace(OWN_HEADER, `${OWN_HEADER}${DECLARATION}`);
    return [[name, name === HOME ? `${declared}${DEFINITION}` : declared]];
  });
  return new Map([...patched, ["init.c", (files.get("init.c") ?? "").replace(CHECK, "false")]]);
}
