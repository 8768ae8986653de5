import { VfioError } from "@vfio-selftests/core";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { childExit, killChild, startChild } from "../host/child-process";
import type { LabHost } from "../host/host";
import type { Qemu } from "./qemu";
import { qemuArguments, streamPorts, type MachineOptions } from "./qemu-arguments";
import type { RunFile, RunFolder } from "./run-folder";

/** Milliseconds for virtiofsd to open its socket. */
const VIRTIOFSD_START_MS = 10_000;
/** Milliseconds for QEMU and virtiofsd to end once killed. */
const END_MS = 5_000;

/**
 * QEMU and virtiofsd of one run. Both die with this process; disposal ends them and waits for it. Connections that
 * QEMU makes to our sockets are given to the handlers.
 */
export class VirtualMachine implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #exits: Promise<unknown>[] = [];
  readonly #host: LabHost;
  readonly #folder: RunFolder;
  #messages = "";

  constructor(host: LabHost, folder: RunFolder) {
    this.#host = host;
    this.#folder = folder;
  }

  /** What QEMU and virtiofsd said on standard error. */
  get messages(): string {
    return this.#messages;
  }

  /** Starts the VM. The promise in the result resolves when QEMU ends, whatever the reason. */
  async start(
    qemu: Qemu,
    machine: MachineOptions,
    onConnection: (name: RunFile, socket: Socket) => void,
  ): Promise<{ ended: Promise<string> }> {
    for (const { name } of [{ name: "serial" } as const, ...streamPorts(machine.mode)]) {
      await this.#listen(name, onConnection);
    }
    const virtiofsd = this.#launch([...qemu.virtiofsd, ...virtiofsdArguments(this.#host, this.#folder.file("fs"))]);
    const failed = childExit(virtiofsd);
    this.#exits.push(failed);
    const deadline = performance.now() + VIRTIOFSD_START_MS;
    while (!existsSync(this.#folder.file("fs"))) {
      if (virtiofsd.exitCode !== null || performance.now() > deadline) {
        throw new VfioError(`virtiofsd did not start\n${this.#messages}`, {
          code: "ERR_LAB_BOOT",
          operation: "virtiofsd",
          remedy: "see the message above; `lab setup --force` prepares QEMU and virtiofsd anew",
        });
      }
      await delay(10);
    }
    const machineProcess = this.#launch([...qemu.qemu, ...qemuArguments(machine, this.#folder)]);
    const ended = childExit(machineProcess);
    this.#exits.push(ended);
    return { ended: ended.then(({ description }) => description) };
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

  async #listen(name: RunFile, onConnection: (name: RunFile, socket: Socket) => void): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      // QEMU's end of the connection goes with QEMU; whoever waits on the stream sees it end.
      socket.on("error", () => socket.destroy());
      onConnection(name, socket);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#folder.file(name), resolve);
    });
  }
}

/** virtiofsd shares the whole file tree; an ordinary user's files are the guest's root's files. */
export function virtiofsdArguments(host: LabHost, socketPath: string): string[] {
  const owner = host.uid === 0 ? [] : [`--translate-uid=map:0:${host.uid}:1`, `--translate-gid=map:0:${host.gid}:1`];
  return [
    "--shared-dir=/",
    `--socket-path=${socketPath}`,
    // The share is the whole tree, so there is nothing to shut virtiofsd in.
    "--sandbox=none",
    "--cache=always",
    "--log-level=error",
    ...owner,
  ];
}
