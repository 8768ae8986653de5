import { constants } from "node:os";
import { MAX_DATA_TRANSFER } from "../../protocol/limits";
import * as structs from "../../protocol/structs";
import type { Exchange } from "../session/exchange";

const { EINVAL, EOPNOTSUPP } = constants.errno;

/** VFIO_USER_MIG_DATA_READ. */
export function readMigrationData({ device, request, reply }: Exchange): number {
  const { fields, size } = structs.mig_data;
  if (device.migration === undefined) return -EOPNOTSUPP;
  const wanted = fields.size.get(request);
  if (wanted > MAX_DATA_TRANSFER || fields.argsz.get(request) < size + wanted) return -EINVAL;
  const count = device.migration.read(reply.bytes.subarray(size, size + wanted));
  if (count < 0) return count;
  fields.argsz.set(reply, size + count);
  fields.size.set(reply, count);
  return size + count;
}

/** VFIO_USER_MIG_DATA_WRITE. */
export function writeMigrationData({ device, request, length }: Exchange): number {
  if (device.migration === undefined) return -EOPNOTSUPP;
  return -device.migration.write(request.bytes.subarray(structs.mig_data.size, length));
}
