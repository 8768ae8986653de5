import { type RegionInfo, VfioError } from "@vfio-selftests/core";
import { type BookedRegion, OwnedDescriptor } from "@vfio-selftests/core/backend";
import { decodeRegionInfo } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import * as structs from "../protocol/structs";
import type { ServerConnection } from "./server-connection";

/** Room for region info in the first request. A longer chain of capabilities costs a second request. */
const REGION_INFO_ROOM = 512;

/** A region of a device behind a server, and the file that maps it. */
export interface UserRegion extends BookedRegion {
  /** Undefined where the server gives none. Nothing of the region can be mapped then, whatever its info says. */
  readonly file: OwnedDescriptor | undefined;
  /** For errors. */
  readonly name: string;
}

/** Asks the server for a region. */
export function askForRegion(connection: ServerConnection, address: string, index: number): UserRegion {
  const name = `region ${index}`;
  const { info, fd } = ask(connection, address, index, REGION_INFO_ROOM);
  return { info, file: fd === undefined ? undefined : new OwnedDescriptor(fd, `${address} ${name}`), name };
}

function ask(
  connection: ServerConnection,
  address: string,
  index: number,
  room: number,
): { info: RegionInfo; fd: number | undefined } {
  const { fields, size } = structs.region_info;
  const { request } = connection;
  request.bytes.fill(0, 0, size);
  fields.argsz.set(request, room);
  fields.index.set(request, index);
  const fds: number[] = [];
  const length = connection.ask("DEVICE_GET_REGION_INFO", size, `region ${index}`, [], fds);
  const { reply } = connection;
  const needed = fields.argsz.get(reply);
  const [fd] = fds;
  try {
    if (needed <= room || room > REGION_INFO_ROOM) {
      return { info: decodeRegionInfo(index, reply.bytes.slice(0, length)), fd };
    }
  } catch (error) {
    if (fd !== undefined) native.close(fd);
    throw new VfioError(`VFIO_USER_DEVICE_GET_REGION_INFO: bad capabilities of region ${index} of ${address}`, {
      code: "EPROTO",
      operation: "VFIO_USER_DEVICE_GET_REGION_INFO",
      subject: address,
      cause: error,
    });
  }
  if (fd !== undefined) native.close(fd);
  return ask(connection, address, index, needed);
}
