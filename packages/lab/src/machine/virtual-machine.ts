import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { VfioError } from "@vfio-selftests/core";
import { childExit, killChild, startChild } from "../host/child-process";
import type { LabHost } from "../host/host";
import type { LabMachine } from "./lab-machine";
import type { Qemu } from "./qemu";
import { type Boot, hasDoorToMonitor, qemuArguments, streamPorts } from "./qemu-arguments";
import type { RunFile } from "./run-folder";
import type { Share } from "./shares";

/** Milliseconds for virtiofsd to open its socket. */
const VIRTIOFSD_START_MS = 10_000;
/** Milliseconds for QEMU and virtiofsd to end after a kill. */
const END_MS = 5_000;

/**
 * QEMU and virtiofsd of one run. Both die with this process. Disposal ends them and waits for their end. The handlers
 * get the connections that QEMU makes to our sockets.
 */
export class VirtualMachine implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #exits: Promise<unknown>[] = [];
  readonly #host: LabHost;
  #messages = "";

  constructor(host: LabHost) {
    this.#host = host;
  }

  /** What QEMU and virtiofsd printed. */
  get messages(): string {
    return this.#messages;
  }

  /** Starts the VM. The promise in the result resolves when QEMU ends, whatever the reason. */
  async start(
    qemu: Qemu,
    machine: LabMachine,
    boot: Boot,
    onConnection: (name: RunFile, socket: Socket) => void,
  ): Promise<{ ended: Promise<string> }> {
    const ports = streamPorts(boot.mode, machine).map(({ name }) => name);
    const monitor = hasDoorToMonitor(machine) ? (["qmp"] as const) : [];
    for (const name of ["serial" as const, ...monitor, ...ports]) {
      await this.#listen(boot.folder.file(name), (socket) => onConnection(name, socket));
    }
    await Promise.all(boot.shares.map((share) => this.#serve(qemu, share, boot.folder.file(share.name))));
    const machineProcess = this.#launch([...qemu.qemu, ...qemuArguments(machine, boot)]);
    const ended = childExit(machineProcess);
    this.#exits.push(ended);
    return { ended: ended.then(({ description }) => description) };
  }

  /** Starts a virtiofsd and waits until QEMU can connect to it. */
  async #serve(qemu: Qemu, share: Share, socketPath: string): Promise<void> {
    const virtiofsd = this.#launch([...qemu.virtiofsd, ...virtiofsdArguments(this.#host, share, socketPath)]);
    this.#exits.push(childExit(virtiofsd));
    const deadline = performance.now() + VIRTIOFSD_START_MS;
    while (!existsSync(socketPath)) {
      if (virtiofsd.exitCode !== null || performance.now() > deadline) {
        throw new VfioError(`virtiofsd did not start\n${this.#messages}`, {
          code: "ERR_LAB_BOOT",
          operation: "virtiofsd",
          remedy: "see the message above; `lab setup --force` prepares QEMU and virtiofsd anew",
        });
      }
      await delay(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) killChild(child);
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    await Promise.race([Promise.all(this.#exits), delay(END_MS, undefined, { ref: false })]);
  }

  #launch(command: readonly string[]): ChildProcess {
    const child = startChild(this.#host, command, { stdio: ["ignore", "pipe", "pipe"], deathSignal: "KILL" });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#messages += text;
      });
    }
    return child;
  }

  async #listen(path: string, onConnection: (socket: Socket) => void): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      // QEMU's end of the connection closes with QEMU. Whoever waits on the stream sees it end.
      socket.on("error", () => socket.destroy());
      onConnection(socket);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  }
}

/**
 * An ordinary user's files belong to the guest's root. virtiofsd shares the whole tree read-only: whatever the guest
 * mounts or fails to mount, nothing that it writes there reaches the host.
 */
export function virtiofsdArguments(host: LabHost, share: Share, socketPath: string): string[] {
  const owner = host.uid === 0 ? [] : [`--translate-uid=map:0:${host.uid}:1`, `--translate-gid=map:0:${host.gid}:1`];
  return [
    `--shared-dir=${share.folder}`,
    `--socket-path=${socketPath}`,
    // An overlay in the guest cannot go below a mount of the host's that virtiofsd announces as one (EREMOTE).
    ...(share.writable ? [] : ["--readonly", "--no-announce-submounts"]),
    // Namespaces and a chroot need rights that an ordinary user lacks, and would not help: the whole tree is shared.
    "--sandbox=none",
    "--cache=always",
    "--log-level=error",
    ...owner,
  ];
}
