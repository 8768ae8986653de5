import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import type { KernelArchitecture } from "../../architecture/lab-architecture";

/**
 * The image that a path names: the file itself, or what make left in a kernel tree or a build folder (`O=`).
 *
 * @throws VfioError `ERR_LAB_NO_IMAGE` unless it can be a kernel. Otherwise a wrong path would show as a silent VM.
 */
export function findKernelImage(path: string, architecture: KernelArchitecture): string {
  const image = isFolder(path) ? builtIn(path, architecture) : path;
  const stat = statSync(image, { throwIfNoEntry: false });
  let what: string | undefined;
  if (stat === undefined) what = "does not exist";
  else if (!stat.isFile()) what = "is not a file";
  else if (!looksLikeKernel(image, architecture))
    what = `is not a Linux kernel image (neither ${architecture.image} nor vmlinux)`;
  if (what === undefined) return image;
  throw noImage(
    path,
    `the kernel image ${image} ${what}`,
    `give the path of a built ${architecture.image} with --kernel, or run \`vfio-selftests lab setup\` to build one`,
  );
}

/** Whether the path is a folder in which make has built an image. */
export function hasBuiltImage(path: string, { builtImage }: KernelArchitecture): boolean {
  return isFolder(path) && existsSync(join(path, builtImage));
}

function builtIn(folder: string, architecture: KernelArchitecture): string {
  if (hasBuiltImage(folder, architecture)) return join(folder, architecture.builtImage);
  if (!existsSync(join(folder, "Makefile"))) {
    const remedy = `give the top folder of a built kernel tree, the folder of \`make O=\`, or a built ${architecture.image}`;
    throw noImage(folder, `${folder} is neither a kernel tree nor a build folder: it has no Makefile`, remedy);
  }
  const make = ["make", ...architecture.makeVariables, architecture.image].join(" ");
  throw noImage(
    folder,
    `the kernel in ${folder} has no image yet: there is no ${architecture.builtImage}`,
    `run \`${make}\` there, or name the folder of \`make O=\` if the tree was built elsewhere`,
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function noImage(subject: string, message: string, remedy: string): VfioError {
  return new VfioError(message, { code: "ERR_LAB_NO_IMAGE", operation: "lab", subject, remedy });
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
