import type { MigrationData } from "@vfio-selftests/core";
import { argumentError, Errno, systemError } from "@vfio-selftests/core/errors";
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
    const most = this.#connection.capabilities.maxDataTransfer;
    if (from.length > most) throw argumentError("write", "from.length", from.length, `at most ${most} bytes`);
    const { request } = this.#connection;
    // The specification asks for room for the reply, which is none. libvfio-user wants room for the data.
    fields.argsz.set(request, size + from.length);
    fields.size.set(request, from.length);
    request.bytes.set(from, size);
    this.#connection.ask("MIG_DATA_WRITE", size + from.length);
    return from.length;
  }

  /** Does nothing: the data belong to the device's state. */
  close(): void {
    return;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
