import { constants } from "node:os";
import { Commands } from "../protocol/commands";
import { HEADER_SIZE, MAX_DATA_TRANSFER, MAX_MESSAGE_SIZE } from "../protocol/limits";
import { MessageBuffer } from "../protocol/message-buffer";
import { shapeError } from "../protocol/shape";
import * as structs from "../protocol/structs";
import type { ClientMemory } from "./client-memory";

const { EINVAL, ENOSYS } = constants.errno;

/** Answers a server's requests for the client's memory: VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE. */
export class MemoryRequests {
  readonly #memory: ClientMemory;
  /** Not the connection's output, where a request of the client's may be under way. */
  readonly #answer = new MessageBuffer(MAX_MESSAGE_SIZE);

  constructor(memory: ClientMemory) {
    this.#memory = memory;
  }

  /** Serves `request`. Returns the reply to send, if the server wants one. */
  serve(request: MessageBuffer): MessageBuffer | undefined {
    const { id, command, flags } = request;
    const result = this.#transfer(request);
    if ((flags & structs.FLAG_NO_REPLY) !== 0) return undefined;
    if (result >= 0) this.#answer.setHeader(id, command, structs.TYPE_REPLY, result);
    else this.#answer.setHeader(id, command, structs.TYPE_REPLY | structs.FLAG_ERROR, 0, -result);
    return this.#answer;
  }

  /** Returns the bytes of the reply's body, or `-errno`. */
  #transfer(request: MessageBuffer): number {
    const { fields, size } = structs.dma_access;
    const read = request.command === Commands.DMA_READ.number;
    if (!read && request.command !== Commands.DMA_WRITE.number) return -ENOSYS;
    const shape = read ? Commands.DMA_READ.request : Commands.DMA_WRITE.request;
    if (shapeError(shape, request.body, request.size - HEADER_SIZE) !== undefined) return -EINVAL;
    const count = fields.count.getNumber(request.body);
    if (count > MAX_DATA_TRANSFER) return -EINVAL;
    const address = fields.address.get(request.body);
    const answer = this.#answer.body;
    const data = (read ? answer : request.body).bytes.subarray(size, size + count);
    const error = this.#memory.transfer(read ? "read" : "write", address, data);
    if (error !== 0) return -error;
    fields.address.set(answer, address);
    fields.count.setNumber(answer, count);
    return read ? size + count : size;
  }
}
