import { closeSync, openSync, readSync, statSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import type { KernelArchitecture } from "../architecture/lab-architecture";

/** Throws ERR_LAB_NO_IMAGE unless the file can be a kernel. Otherwise a wrong path would show as a silent VM. */
export function requireKernelImage(path: string, architecture: KernelArchitecture): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  let what: string | undefined;
  if (stat === undefined) what = "does not exist";
  else if (!stat.isFile()) what = "is not a file";
  else if (!looksLikeKernel(path, architecture))
    what = `is not a Linux kernel image (neither ${architecture.image} nor vmlinux)`;
  if (what === undefined) return;
  throw new VfioError(`the kernel image ${path} ${what}`, {
    code: "ERR_LAB_NO_IMAGE",
    operation: "lab",
    subject: path,
    remedy: `give the path of a built ${architecture.image} with --kernel, or run \`vfio-selftests lab setup\` to build one`,
  });
}

/** Where an ELF file such as vmlinux has its signature. */
const ELF_SIGNATURE = { offset: 0, text: "\x7fELF" };

function looksLikeKernel(path: string, { signature }: KernelArchitecture): boolean {
  const head = Buffer.alloc(0x206);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  return [signature, ELF_SIGNATURE].some(
    ({ offset, text }) => head.toString("latin1", offset, offset + text.length) === text,
  );
}
