import { Errno, systemError } from "@vfio-selftests/core/errors";
import type { MigrationData } from "@vfio-selftests/core/migration";
import * as structs from "../protocol/structs";
import type { ServerConnection } from "./server-connection";

/** A device's migration data by messages: VFIO_USER_MIG_DATA_READ and VFIO_USER_MIG_DATA_WRITE. */
export class MessageData implements MigrationData {
  readonly #connection: ServerConnection;
  readonly #requireOpen: () => void;

  /** `requireOpen` throws when the device is closed. */
  constructor(connection: ServerConnection, requireOpen: () => void) {
    this.#connection = connection;
    this.#requireOpen = requireOpen;
  }

  read(into: Uint8Array): number {
    this.#requireOpen();
    const { fields, size } = structs.mig_data;
    const { request } = this.#connection;
    const wanted = Math.min(into.length, this.#connection.capabilities.maxDataTransfer);
    fields.argsz.set(request, size + wanted);
    fields.size.set(request, wanted);
    const came = this.#connection.ask("MIG_DATA_READ", size) - size;
    const { reply } = this.#connection;
    const count = fields.size.get(reply);
    if (count > Math.min(came, wanted)) {
      throw systemError(-Errno.EPROTO, "VFIO_USER_MIG_DATA_READ", {
        message: `VFIO_USER_MIG_DATA_READ: a size of ${count} bytes, ${came} came and ${wanted} were asked for`,
      });
    }
    into.set(reply.bytes.subarray(size, size + count));
    return count;
  }

  write(from: Uint8Array): number {
    this.#requireOpen();
    const { fields, size } = structs.mig_data;
    const { request } = this.#connection;
    const count = Math.min(from.length, this.#connection.capabilities.maxDataTransfer);
    // The specification asks for room for the reply, which is none. libvfio-user wants room for the data.
    fields.argsz.set(request, size + count);
    fields.size.set(request, count);
    request.bytes.set(from.subarray(0, count), size);
    this.#connection.ask("MIG_DATA_WRITE", size + count);
    return count;
  }

  /** Does nothing: the data belong to the device's state. */
  close(): void {
    return;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
