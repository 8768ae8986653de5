import { constants } from "node:os";
import {
  type DmaAccess,
  type IommuBackend,
  type IovaRange,
  type MappableMemory,
  type OpenDeviceOptions,
  USER_MODE_NAME,
  type VfioError,
} from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { argumentError, closedError, systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZES } from "../protocol/limits";
import type { ClientMapping } from "./client-memory";
import { checkRange, ClientMemory, LAST_IOVA } from "./client-memory";
import { ServerConnection } from "./server-connection";
import { VfioUserDevice } from "./vfio-user-device";

const { EAGAIN, EFAULT, EINVAL } = constants.errno;

/** A connection to a model in this process. */
export interface ModelConnection {
  /** A connected socket, which the receiver owns. */
  readonly fd: number;
  /** Called when the device is closed. */
  readonly close?: () => void;
  /** Why the model has gone, once that is known. */
  readonly failure?: () => string | undefined;
}

/** How to reach a server, and how long to wait for it. */
export interface VfioUserOptions {
  /** Connects to the model `NAME` of an address `model:NAME`. Without it there are no such addresses. */
  readonly connectModel?: (name: string) => ModelConnection;
  /** How long a server may take to answer, in milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /** How long it may take to answer the first message, because it may have to start. Default 20000. */
  readonly startTimeoutMs?: number;
}

const SOCKET_PREFIX = "vfio-user:";
const MODEL_PREFIX = "model:";

/**
 * An I/O address space of vfio-user devices. It exists in this process: it tells every device of every mapping, and a
 * device opened later of the existing ones.
 */
export class VfioUserBackend implements IommuBackend {
  readonly mode = USER_MODE_NAME;
  readonly choosesIova = false;
  readonly #options: VfioUserOptions;
  readonly #memory = new ClientMemory();
  readonly #devices = new Set<VfioUserDevice>();
  #closed = false;

  /** An empty address space. No server is asked yet. */
  constructor(options: VfioUserOptions = {}) {
    this.#options = options;
  }

  openDevice(address: string, options: OpenDeviceOptions = {}): VfioUserDevice {
    this.#requireOpen("openDevice");
    if (options.vfToken !== undefined) {
      throw argumentError("openDevice", "vfToken", options.vfToken, "none: vfio-user has no VF tokens");
    }
    const { fd, close, failure } = this.#connect(address);
    let device: VfioUserDevice | undefined;
    try {
      const connection = new ServerConnection(fd, address, this.#memory, {
        timeoutMs: this.#options.timeoutMs ?? 5_000,
        startTimeoutMs: this.#options.startTimeoutMs ?? 20_000,
        failure,
      });
      device = new VfioUserDevice(address, connection, (closed) => {
        // The code below closes a device that no caller ever got.
        if (this.#devices.delete(closed)) close?.();
      });
      for (const mapping of this.#memory) device.map(mapping);
      this.#devices.add(device);
      return device;
    } catch (error) {
      device?.close();
      close?.();
      throw error;
    }
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    this.#requireOpen("map");
    if (iova === undefined) throw argumentError("map", "iova", iova, "an address: this mode does not choose one");
    const fail = (errno: number, remedy?: string): VfioError =>
      systemError(-errno, "VFIO_USER_DMA_MAP", {
        subject: `IOVA 0x${iova.toString(16)} + ${length} (vfio-user)`,
        ...(remedy === undefined ? {} : { remedy }),
      });
    const wrong = checkRange(iova, BigInt(length));
    if (wrong !== 0) throw fail(wrong);
    if (memory.file === undefined && memory.buffer === undefined) {
      throw fail(EFAULT, "map ordinary memory: device registers cannot be shared with a vfio-user server");
    }
    if (memory.file !== undefined && offset % 4096 !== 0) throw fail(EINVAL);
    const mapping: ClientMapping = { start: iova, last: iova + BigInt(length) - 1n, memory, offset, access };
    const error = this.#memory.add(mapping);
    if (error !== 0) throw fail(error);
    const told: VfioUserDevice[] = [];
    try {
      for (const device of this.#devices) {
        device.map(mapping);
        told.push(device);
      }
    } catch (cause) {
      this.#memory.remove(iova, BigInt(length));
      // A server that does not take it back now has failed, too. Its device says so at the next use.
      for (const device of told) ignoreFailure(() => device.unmap(mapping));
      throw cause;
    }
    return iova;
  }

  /** Removes the mappings here, whatever a server answers. It tells every server before it throws a failure. */
  unmap(iova: bigint, length: bigint): bigint {
    this.#requireOpen("unmap");
    const removed = this.#memory.remove(iova, length);
    if (typeof removed === "number") {
      throw systemError(-removed, "VFIO_USER_DMA_UNMAP", {
        subject: `IOVA 0x${iova.toString(16)} + ${length} (vfio-user)`,
      });
    }
    return this.#unmap(removed);
  }

  unmapAll(): bigint {
    this.#requireOpen("unmapAll");
    return this.#unmap(this.#memory.clear());
  }

  iovaRanges(): readonly IovaRange[] {
    this.#requireOpen("iovaRanges");
    return [{ start: 0n, last: LAST_IOVA }];
  }

  pageSizes(): bigint {
    this.#requireOpen("pageSizes");
    return BigInt(PAGE_SIZES);
  }

  isMapped(iova: bigint): boolean {
    this.#requireOpen("isMapped");
    return this.#memory.has(iova);
  }

  /** Closes the devices, too. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeAll(USER_MODE_NAME, [
      ...[...this.#devices].map((device) => () => device.close()),
      () => void this.#memory.clear(),
    ]);
  }

  /** Takes mappings, already removed here, from every device. Returns how many bytes they have. */
  #unmap(mappings: readonly ClientMapping[]): bigint {
    const tell = mappings.flatMap((mapping) => [...this.#devices].map((device) => () => device.unmap(mapping)));
    closeAll(USER_MODE_NAME, tell);
    return mappings.reduce((bytes, { start, last }) => bytes + last - start + 1n, 0n);
  }

  #connect(address: string): ModelConnection {
    if (address.startsWith(SOCKET_PREFIX)) {
      const path = address.slice(SOCKET_PREFIX.length);
      const fd = native.unixConnect(path);
      if (fd >= 0) return { fd };
      throw systemError(fd, "connect", {
        subject: path,
        remedy:
          fd === -EAGAIN
            ? "close the other clients (a server serves one client at a time)"
            : "start the server: vfio-selftests model serve NAME --socket PATH",
      });
    }
    const { connectModel } = this.#options;
    if (address.startsWith(MODEL_PREFIX) && connectModel !== undefined) {
      return connectModel(address.slice(MODEL_PREFIX.length));
    }
    throw argumentError(
      "openDevice",
      "address",
      address,
      connectModel === undefined ? "vfio-user:PATH" : "vfio-user:PATH or model:NAME",
    );
  }

  #requireOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, "the address space (vfio-user)");
  }
}

function ignoreFailure(step: () => void): void {
  try {
    step();
  } catch {
    // The caller must learn of the failure before this one.
  }
}
