import { constants } from "node:os";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  vfio_device_feature_mig_state,
  VFIO_DEVICE_FEATURE_MIGRATION,
  vfio_device_feature_migration,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_STOP_COPY,
} from "@vfio-selftests/core/uapi";
import * as structs from "../../protocol/structs";
import type { Exchange } from "../session/exchange";
import type { FeatureExchange } from "./feature-exchange";
import { reportWrittenPages, startLogging } from "./logging-handlers";

const { EINVAL, ENOTTY } = constants.errno;

const FEATURE_INDEX = 0xffff;

/** Returns the bytes of the reply's data, which follow the structure's fields, or `-errno`. */
type Method = (exchange: FeatureExchange) => number;

interface Feature {
  readonly get?: Method;
  /** The reply to a set is its request, so it returns 0 or `-errno`. */
  readonly set?: Method;
}

const DATA = structs.device_feature.size;

const getMigration: Method = ({ reply, room }) => {
  const { fields, size } = vfio_device_feature_migration;
  if (room < size) return -EINVAL;
  const answer = vfio_device_feature_migration.allocate();
  // Devices of one server that reach each other's registers do not exist here, so neither do the P2P states.
  fields.flags.set(answer, BigInt(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY));
  reply.bytes.set(answer.bytes, DATA);
  return size;
};

const getState: Method = ({ machine, reply, room }) => {
  const { fields, size } = vfio_device_feature_mig_state;
  if (room < size) return -EINVAL;
  const answer = vfio_device_feature_mig_state.allocate();
  fields.device_state.set(answer, machine.state);
  fields.data_fd.set(answer, -1);
  reply.bytes.set(answer.bytes, DATA);
  return size;
};

const setState: Method = ({ machine, data }) => {
  const { fields, size } = vfio_device_feature_mig_state;
  if (data.length < size) return -EINVAL;
  return -machine.go(fields.device_state.get(vfio_device_feature_mig_state.copyOf(data)));
};

/** The features of the specification. All belong to migration. */
const FEATURES: Readonly<Record<number, Feature>> = {
  [VFIO_DEVICE_FEATURE_MIGRATION]: { get: getMigration },
  [VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE]: { get: getState, set: setState },
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_START]: { set: startLogging },
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP]: {
    set: ({ device }) => {
      device.dma.log = undefined;
      return 0;
    },
  },
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT]: { get: reportWrittenPages },
};

/** VFIO_USER_DEVICE_FEATURE. Refuses what vfio_ioctl_device_feature and vfio_check_feature refuse. */
export function deviceFeature(exchange: Exchange): number {
  const { device, request, reply, length } = exchange;
  const { fields } = structs.device_feature;
  const flags = fields.flags.get(request);
  const machine = device.migration;
  const feature = machine === undefined ? undefined : FEATURES[flags & FEATURE_INDEX];
  const methods = flags & (GET | SET);
  if ((flags & ~(FEATURE_INDEX | GET | SET | PROBE)) !== 0) return -EINVAL;
  if (methods === (GET | SET) && (flags & PROBE) === 0) return -EINVAL;
  if (machine === undefined || feature === undefined) return -ENOTTY;
  if ((methods & GET) !== 0 && feature.get === undefined) return -EINVAL;
  if ((methods & SET) !== 0 && feature.set === undefined) return -EINVAL;
  reply.bytes.set(request.bytes.subarray(0, length));
  if ((flags & PROBE) !== 0) return length;
  const method = methods === GET ? feature.get : methods === SET ? feature.set : undefined;
  if (method === undefined) return -EINVAL;
  const room = fields.argsz.get(request) - DATA;
  const result = method({ ...exchange, machine, data: request.bytes.subarray(DATA, length), room });
  if (result < 0) return result;
  if (methods === SET) return length;
  fields.argsz.set(reply, DATA + result);
  return DATA + result;
}
