import type {
  DeviceInfo,
  IrqInfo,
  PayloadLink,
  RegionArea,
  RegionInfo,
  SetIrqs,
  VfioDevice,
} from "@vfio-selftests/core";
import { VfioError } from "@vfio-selftests/core";
import { DeviceBooks, type IoMapping, type MapRegionOptions } from "@vfio-selftests/core/backend";
import { argumentError, systemError } from "@vfio-selftests/core/errors";
import type { MigrationData } from "@vfio-selftests/core/migration";
import { decodeIrqInfo, VFIO_DEVICE_FLAGS_RESET } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { MAX_MULTI_WRITES } from "../protocol/limits";
import * as structs from "../protocol/structs";
import type { ClientMapping } from "./client-memory";
import { askForRegion, type UserRegion } from "./device-regions";
import { featureMessage } from "./feature-message";
import { type IrqMessage, irqMessages } from "./irq-messages";
import { MemoryPump } from "./memory-pump";
import { MessageData } from "./message-data";
import type { ServerConnection } from "./server-connection";

/** Far more than any feature's data. */
const MAX_FEATURE_DATA = 64 * 1024;

/** One write of {@link VfioUserDevice.postWrites}. */
export interface PostedWrite {
  /** VFIO's index of the region. */
  readonly region: number;
  /** Bytes from the start of the region. */
  readonly offset: number;
  /** 1 to 8 bytes. */
  readonly data: Uint8Array;
}

/** A device behind a vfio-user server. Every operation is a message, answered before the method returns. */
export class VfioUserDevice implements VfioDevice {
  readonly address: string;
  readonly info: DeviceInfo;
  readonly #connection: ServerConnection;
  readonly #onClose: (device: VfioUserDevice) => void;
  readonly #books: DeviceBooks<UserRegion>;
  #pump: MemoryPump | undefined;

  /** Owns the connection from now on, even if it throws. `close` calls `onClose`, once. */
  constructor(address: string, connection: ServerConnection, onClose: (device: VfioUserDevice) => void) {
    this.address = address;
    this.#connection = connection;
    this.#onClose = onClose;
    try {
      this.info = this.#readInfo();
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#books = new DeviceBooks(address, this.info, {
      region: (index) => askForRegion(connection, address, index),
      irq: (index) => this.#askForIrq(index),
    });
  }

  get closed(): boolean {
    return this.#books.closed;
  }

  regionInfo(index: number): RegionInfo {
    return this.#books.region("regionInfo", index).info;
  }

  irqInfo(index: number): IrqInfo {
    return this.#books.irq("irqInfo", index);
  }

  readRegion(index: number, offset: number, into: Uint8Array): void {
    const { name } = this.#books.extent("readRegion", index, offset, into.length);
    const { fields, size } = structs.region_access;
    const chunk = this.#connection.capabilities.maxDataTransfer;
    for (let done = 0; done < into.length; done += chunk) {
      const count = Math.min(chunk, into.length - done);
      this.#setAccess(index, offset + done, count);
      this.#connection.ask("REGION_READ", size, name);
      const { reply } = this.#connection;
      if (fields.count.get(reply) !== count) throw this.#short("VFIO_USER_REGION_READ", fields.count.get(reply), count);
      if (count <= 8) for (let i = 0; i < count; i += 1) into[done + i] = reply.u8[size + i] as number;
      else into.set(reply.bytes.subarray(size, size + count), done);
    }
  }

  writeRegion(index: number, offset: number, from: Uint8Array): void {
    const { name } = this.#books.extent("writeRegion", index, offset, from.length);
    const { fields, size } = structs.region_access;
    const chunk = this.#connection.capabilities.maxDataTransfer;
    for (let done = 0; done < from.length; done += chunk) {
      const count = Math.min(chunk, from.length - done);
      this.#setAccess(index, offset + done, count);
      const { request, reply } = this.#connection;
      if (count === from.length) request.bytes.set(from, size);
      else request.bytes.set(from.subarray(done, done + count), size);
      this.#connection.ask("REGION_WRITE", size + count, name);
      if (fields.count.get(reply) !== count)
        throw this.#short("VFIO_USER_REGION_WRITE", fields.count.get(reply), count);
    }
  }

  /**
   * Writes registers in order without waiting for an answer, like posted writes to a BAR. One message takes at most 200
   * (VFIO_USER_REGION_WRITE_MULTI); a server without that command gets one message each. A later read or write comes
   * after them. The method checks its arguments; errors of the device go unreported.
   */
  postWrites(writes: readonly PostedWrite[]): void {
    for (const { region, offset, data } of writes) {
      if (data.length < 1 || data.length > 8)
        throw argumentError("postWrites", "data.length", data.length, "1 to 8 bytes");
      this.#books.extent("postWrites", region, offset, data.length);
    }
    if (!this.#connection.capabilities.writeMultiple || writes.length === 1) {
      for (const { region, offset, data } of writes) {
        this.#setAccess(region, offset, data.length);
        this.#connection.request.bytes.set(data, structs.region_access.size);
        this.#connection.post("REGION_WRITE", structs.region_access.size + data.length);
      }
      return;
    }
    for (let first = 0; first < writes.length; first += MAX_MULTI_WRITES) {
      this.#postMulti(writes.slice(first, first + MAX_MULTI_WRITES));
    }
  }

  mapRegion(index: number, area: RegionArea, options: MapRegionOptions = {}): IoMapping {
    return this.#books.map(index, area, options, ({ file }, request) => {
      if (file !== undefined) return native.mapIo({ ...request, fd: file.descriptor("mapRegion") });
      const allowed = "none: the server gives no file to map, use readRegion and writeRegion";
      throw argumentError(`mapRegion of region ${index}`, "area", `0x${area.offset.toString(16)}`, allowed);
    });
  }

  setIrqs(request: SetIrqs): void {
    this.#books.requireOpen("setIrqs");
    const messages = irqMessages(request, this.#connection.capabilities.maxMessageFds);
    const done: IrqMessage[] = [];
    try {
      for (const message of messages) {
        this.#sendIrqs(request.index, message);
        done.push(message);
      }
    } catch (error) {
      // Half a request counts as none, so disconnect what its first messages connected.
      for (const message of done) this.#disconnect(request.index, message);
      throw error;
    }
  }

  reset(): void {
    this.#books.requireOpen("reset");
    this.#connection.ask("DEVICE_RESET", 0);
  }

  /**
   * A message carries no pointers. Where the kernel's structure of DMA logging has one, the message has the array itself
   * behind the fields, and this method puts it there. Links of other features throw ERR_NOT_SUPPORTED.
   */
  feature(flags: number, payload: Uint8Array, links: readonly PayloadLink[] = []): Uint8Array {
    this.#books.requireOpen("feature");
    const message = featureMessage(flags, payload, links);
    if (message === undefined) throw this.#noLinks(flags);
    const { data, room } = message;
    if (data.length > MAX_FEATURE_DATA) {
      throw argumentError("feature", "payload.length", data.length, `at most ${MAX_FEATURE_DATA} bytes`);
    }
    const { fields, size } = structs.device_feature;
    const { request } = this.#connection;
    fields.argsz.set(request, size + room);
    fields.flags.set(request, flags);
    request.bytes.set(data, size);
    const length = this.#connection.ask("DEVICE_FEATURE", size + data.length, `feature ${flags & 0xffff}`);
    return message.answer(this.#connection.reply.bytes.slice(size, length));
  }

  /** The data go by messages. */
  openMigrationData(): MigrationData {
    return new MessageData(this.#connection, () => this.#books.requireOpen("migration data"));
  }

  /** Tells the server of a mapping. For {@link VfioUserBackend}. */
  map(mapping: ClientMapping): void {
    const { fields, size } = structs.dma_map;
    const { request } = this.#connection;
    const { file } = mapping.memory;
    fields.argsz.set(request, size);
    fields.flags.set(
      request,
      (mapping.access === "write" ? 0 : structs.DMA_MAP_READ) | (mapping.access === "read" ? 0 : structs.DMA_MAP_WRITE),
    );
    fields.offset.setNumber(request, file === undefined ? 0 : file.offset + mapping.offset);
    fields.address.set(request, mapping.start);
    fields.size.set(request, mapping.last - mapping.start + 1n);
    this.#connection.ask("DMA_MAP", size, `IOVA 0x${mapping.start.toString(16)}`, file === undefined ? [] : [file.fd]);
  }

  /** Takes a mapping from the server. For {@link VfioUserBackend}. */
  unmap(mapping: ClientMapping): void {
    const { fields, size } = structs.dma_unmap;
    const { request } = this.#connection;
    fields.argsz.set(request, size);
    fields.flags.set(request, 0);
    fields.address.set(request, mapping.start);
    fields.size.set(request, mapping.last - mapping.start + 1n);
    this.#connection.ask("DMA_UNMAP", size, `IOVA 0x${mapping.start.toString(16)}`);
  }

  /**
   * Answers the server's requests for memory that it cannot reach itself (memory not backed by a file). Otherwise that
   * happens while this device waits for an answer.
   */
  serveMemory(): void {
    this.#books.requireOpen("serveMemory");
    this.#connection.serveMemory();
  }

  /**
   * Does what {@link serveMemory} does, whenever the program is in its event loop. Does not keep the process alive.
   * Ends with `close`, or when disposed of.
   */
  pumpMemory(): Disposable {
    this.#books.requireOpen("pumpMemory");
    this.#pump ??= new MemoryPump(this.#connection, this.address);
    return { [Symbol.dispose]: () => this.#stopPump() };
  }

  /** Unmaps the BARs and closes the connection. Idempotent. Throws ERR_STILL_MAPPED when a BAR is mapped for DMA. */
  close(): void {
    this.#books.close(
      () => this.#stopPump(),
      ...[...this.#books.regions].map(
        ({ file }) =>
          () =>
            file?.close(),
      ),
      () => this.#connection.close(),
      () => this.#onClose(this),
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #readInfo(): DeviceInfo {
    const { fields, size } = structs.device_info;
    const { request } = this.#connection;
    request.bytes.fill(0, 0, size);
    fields.argsz.set(request, size);
    this.#connection.ask("DEVICE_GET_INFO", size);
    const { reply } = this.#connection;
    const flags = fields.flags.get(reply);
    return {
      flags,
      regionCount: fields.num_regions.get(reply),
      irqCount: fields.num_irqs.get(reply),
      resettable: (flags & VFIO_DEVICE_FLAGS_RESET) !== 0,
    };
  }

  #sendIrqs(index: number, { flags, start, count, bools, fds }: IrqMessage): void {
    const { fields, size } = structs.irq_set;
    const { request } = this.#connection;
    const length = size + bools.length;
    fields.argsz.set(request, length);
    fields.flags.set(request, flags);
    fields.index.set(request, index);
    fields.start.set(request, start);
    fields.count.set(request, count);
    request.bytes.set(bools, size);
    this.#connection.ask("DEVICE_SET_IRQS", length, `interrupt index ${index}`, fds);
  }

  #disconnect(index: number, message: IrqMessage): void {
    try {
      this.#sendIrqs(index, { ...message, fds: [] });
    } catch {
      // The caller must learn of the first failure.
    }
  }

  #askForIrq(index: number): IrqInfo {
    const { fields, size } = structs.irq_info;
    const { request } = this.#connection;
    request.bytes.fill(0, 0, size);
    fields.argsz.set(request, size);
    fields.index.set(request, index);
    this.#connection.ask("DEVICE_GET_IRQ_INFO", size, `interrupt index ${index}`);
    return decodeIrqInfo(index, this.#connection.reply);
  }

  #setAccess(index: number, offset: number, count: number): void {
    const { fields } = structs.region_access;
    const { request } = this.#connection;
    fields.offset.setNumber(request, offset);
    fields.region.set(request, index);
    fields.count.set(request, count);
  }

  #postMulti(writes: readonly PostedWrite[]): void {
    const { write_multi, write_one } = structs;
    const { request } = this.#connection;
    write_multi.fields.count.setNumber(request, writes.length);
    for (const [i, { region, offset, data }] of writes.entries()) {
      const entry = write_one.allocate();
      write_one.fields.offset.setNumber(entry, offset);
      write_one.fields.region.set(entry, region);
      write_one.fields.count.set(entry, data.length);
      entry.bytes.set(data, write_one.fields.data.offset);
      request.bytes.set(entry.bytes, write_multi.size + i * write_one.size);
    }
    this.#connection.post("REGION_WRITE_MULTI", write_multi.size + writes.length * write_one.size);
  }

  #stopPump(): void {
    this.#pump?.close();
    this.#pump = undefined;
  }

  #short(operation: string, got: number, wanted: number): VfioError {
    return systemError(-5, operation, {
      subject: this.address,
      message: `${operation} on ${this.address}: ${got} bytes transferred instead of ${wanted}`,
    });
  }

  #noLinks(flags: number): VfioError {
    const operation = "VFIO_DEVICE_FEATURE";
    const what = `${operation} failed on ${this.address}, feature ${flags & 0xffff}`;
    return new VfioError(`${what}: a vfio-user message carries no pointers`, {
      code: "ERR_NOT_SUPPORTED",
      operation,
      subject: this.address,
      remedy: "use a device of the kernel, or a feature whose structure has no pointer",
    });
  }
}
