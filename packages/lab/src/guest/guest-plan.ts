import type { LabHost } from "../host/host";
import type { PlacedDevice } from "../machine/devices";
import type { GuestMode } from "../machine/qemu-arguments";
import { contains, type Share } from "../machine/shares";

/** Quotes a word for a POSIX shell. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

export interface GuestPlan {
  readonly mode: GuestMode;
  readonly stdin: boolean;
  readonly devices: readonly PlacedDevice[];
  readonly endMark: string;
  /** The folder in which the command starts. Around it the guest sees the host's files, even below /tmp or /run. */
  readonly cwd: string;
  readonly shares: readonly Share[];
  /** The share that is the guest's `/lib/modules`. Undefined: it loads no modules. */
  readonly modules?: string | undefined;
  /** The words of the program that loads a kernel image, its last argument, and jumps into it. Undefined: no jump. */
  readonly jump?: readonly string[] | undefined;
}

/** Init writes this line on the console before the kernel jumps into the next one. */
export const JUMP_MARK = "vfio-selftests: the next kernel";

/** Folders over which the guest mounts file systems of its own. */
const OWN_FOLDERS = ["/tmp", "/run"];

/** `plan.sh`, which tells the guest's init what to do before and after the command. */
export function guestPlan(plan: GuestPlan): string {
  const functions = plan.devices.flatMap(({ device, slot }) => device.functions(slot));
  const isHostTree = !plan.shares.some(({ name }) => name === "run");
  const covered = OWN_FOLDERS.filter((folder) => !isHostTree || !contains(folder, plan.cwd));
  const mounted = plan.shares.filter(({ name }) => name !== "root" && name !== "run");
  const variables = {
    LAB_MODE: plan.mode,
    LAB_STDIN: plan.stdin ? "yes" : "no",
    LAB_TMPFS: covered.join(" "),
    LAB_BIND: functions.join(" "),
    LAB_MODULES: plan.modules ?? "",
    LAB_END_MARK: plan.endMark,
    LAB_NEXT: plan.jump === undefined ? "no" : "yes",
    LAB_JUMP_MARK: JUMP_MARK,
  };
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${shellQuote(value)}\n`);
  // A function, because a folder's name may hold anything.
  const mounts = mounted.map(({ name, folder }) => `  mount_share ${name} ${shellQuote(folder)}\n`);
  const jump = plan.jump === undefined ? ":" : `${plan.jump.map(shellQuote).join(" ")} /dev/lab/next-kernel`;
  return [...assignments, "mount_shares() {\n", ...mounts, "  :\n}\n", `jump_to_next() {\n  ${jump}\n}\n`].join("");
}

export interface GuestCommand {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Variables that win over the caller's environment and those that the guest sets. */
  readonly override: Readonly<Record<string, string>>;
  readonly terminal?: { rows: number; columns: number } | undefined;
}

/** `command.sh`, which becomes the command, with the caller's folder and environment. */
export function guestCommand({ command, cwd, env, override, terminal }: GuestCommand): string {
  const assignments = (variables: Readonly<Record<string, string>>): string[] =>
    Object.entries(variables).map(([name, value]) => `${shellQuote(`${name}=${value}`)} \\`);
  return [
    // Init sends signals to this session.
    "echo $$ >/dev/lab/pid",
    ...(terminal === undefined ? [] : [`stty rows ${terminal.rows} cols ${terminal.columns}`]),
    `cd ${shellQuote(cwd)} || exit 126`,
    "exec env -i \\",
    ...assignments(env),
    'VFIO_SELFTESTS_BDF="$LAB_DEVICES" VFIO_SELFTESTS_LAB=1 ${TMPDIR:+"TMPDIR=$TMPDIR"} \\',
    ...assignments(override),
    // A shell runs the command, because env takes a command with "=" in its name for a variable.
    `sh -c 'exec "$@"' lab ${command.map(shellQuote).join(" ")}`,
    "",
  ].join("\n");
}

/** Variables that mean nothing in the guest, or name the host's own devices. */
const NOT_PASSED_ON =
  /^(VFIO_SELFTESTS_BDF|VFIO_SELFTESTS_NVME_SCRATCH|VFIO_SELFTESTS_CONFINED|TMPDIR|XDG_RUNTIME_DIR|DBUS_.*|SSH_.*|NODE_EXTRA_CA_CERTS|DISPLAY|WAYLAND_DISPLAY|LAB_.*)$/;

/**
 * The caller's environment as the guest's command gets it. The guest's root writes to the caller's folders as the
 * caller. So an ordinary user can harm nobody else, and VFIO_SELFTESTS_CONFINED tells the command so.
 */
export function passedOnEnvironment({ env, uid }: Pick<LabHost, "env" | "uid">): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !NOT_PASSED_ON.test(name)) passed[name] = value;
  }
  if (uid !== 0) passed["VFIO_SELFTESTS_CONFINED"] = "1";
  return passed;
}
