import { StructView } from "@vfio-selftests/core/uapi";
import { HEADER_SIZE } from "./limits";
import { header } from "./structs";

/** Storage for one message at a time. It shows the fields of header and body without a copy. */
export class MessageBuffer {
  /** The whole storage. The message lies at its start. */
  readonly bytes: Uint8Array;
  readonly header: StructView;
  readonly body: StructView;
  /** The body again, for values that lie in it unaligned. */
  readonly data: DataView;

  /** `capacity` in bytes, header included. */
  constructor(capacity: number) {
    const length = (capacity + 7) & ~7;
    const storage = new ArrayBuffer(length);
    this.bytes = new Uint8Array(storage);
    this.header = new StructView(HEADER_SIZE, storage);
    this.body = new StructView(length - HEADER_SIZE, storage, HEADER_SIZE);
    this.data = new DataView(storage, HEADER_SIZE);
  }

  get id(): number {
    return header.fields.message_id.get(this.header);
  }

  get command(): number {
    return header.fields.command.get(this.header);
  }

  get size(): number {
    return header.fields.message_size.get(this.header);
  }

  get flags(): number {
    return header.fields.flags.get(this.header);
  }

  /** Positive errno of an error reply. */
  get error(): number {
    return header.fields.error.get(this.header);
  }

  /** Fills in the header. `bodyLength` in bytes. */
  setHeader(id: number, command: number, flags: number, bodyLength: number, error = 0): void {
    const { fields } = header;
    fields.message_id.set(this.header, id);
    fields.command.set(this.header, command);
    fields.message_size.set(this.header, HEADER_SIZE + bodyLength);
    fields.flags.set(this.header, flags);
    fields.error.set(this.header, error);
  }

  /** The message, as long as its header says. */
  message(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  /** Zeroes the first `length` bytes of the body. */
  clearBody(length: number): void {
    this.body.bytes.fill(0, 0, length);
  }
}
