import { readAttribute, type SystemPaths } from "../system-paths";

export interface Mount {
  /** `major:minor`. */
  readonly device: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
}

/**
 * The mounts of this process's namespace, from /proc/PID/mountinfo (proc(5)): id, parent, device, root, target,
 * options, tags …, `-`, type, source, options.
 */
export function readMounts(paths: SystemPaths): Mount[] {
  return (readAttribute(paths.proc("self", "mountinfo")) ?? "").split("\n").flatMap((line) => {
    const [head = "", tail = ""] = line.split(" - ");
    const [, , device, , target] = head.split(" ");
    const [type, source] = tail.split(" ");
    if (device === undefined || target === undefined || type === undefined || source === undefined) return [];
    return [{ device, target, type, source }];
  });
}
