/** The ioctls of a device's file. No other file writes or reads them. */
import type { DeviceInfo, HotResetDevice, HotResetInfo, PayloadLink, SetIrqs } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  decodeIrqInfo,
  decodeRegionInfo,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_detach_iommufd_pt,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_irq_info,
  vfio_irq_set,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  vfio_pci_dependent_device,
  vfio_pci_hot_reset,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
  vfio_pci_hot_reset_info,
  vfio_region_info,
} from "@vfio-selftests/core/uapi";
import { type EncodedIoctl, noAnswer, plainIoctl, structIoctl } from "../kernel/ioctl";
import { vfTokenBytes } from "../kernel/vf-token";

export const getInfo = structIoctl({ VFIO_DEVICE_GET_INFO }, vfio_device_info, {
  write: noAnswer,
  answer: (view): DeviceInfo => {
    const { flags: flagsField, num_regions, num_irqs } = vfio_device_info.fields;
    const flags = flagsField.get(view);
    return {
      flags,
      regionCount: num_regions.get(view),
      irqCount: num_irqs.get(view),
      resettable: (flags & VFIO_DEVICE_FLAGS_RESET) !== 0,
    };
  },
});

/** Ask with `KernelFile.askForChain`. */
export const getRegionInfo = structIoctl({ VFIO_DEVICE_GET_REGION_INFO }, vfio_region_info, {
  write: (view, index: number) => vfio_region_info.fields.index.set(view, index),
  answer: (view) => decodeRegionInfo(vfio_region_info.fields.index.get(view), view.bytes),
});

export const getIrqInfo = structIoctl({ VFIO_DEVICE_GET_IRQ_INFO }, vfio_irq_info, {
  write: (view, index: number) => vfio_irq_info.fields.index.set(view, index),
  answer: (view) => decodeIrqInfo(vfio_irq_info.fields.index.get(view), view),
});

export const resetDevice = (): EncodedIoctl => plainIoctl({ VFIO_DEVICE_RESET });

const ACTIONS = {
  mask: VFIO_IRQ_SET_ACTION_MASK,
  unmask: VFIO_IRQ_SET_ACTION_UNMASK,
  trigger: VFIO_IRQ_SET_ACTION_TRIGGER,
} as const;

/** A positive result is the number of possible vectors, when that is smaller than the number asked for. */
export const setIrqs = structIoctl({ VFIO_DEVICE_SET_IRQS }, vfio_irq_set, {
  extraBytes: (request: SetIrqs) => irqData(request).bytes.length,
  write: (view, request: SetIrqs) => {
    const { fields, size } = vfio_irq_set;
    const { type, bytes } = irqData(request);
    fields.flags.set(view, type | ACTIONS[request.action]);
    fields.index.set(view, request.index);
    fields.start.set(view, request.start);
    fields.count.set(view, request.count);
    view.bytes.set(bytes, size);
  },
  answer: noAnswer,
});

function irqData({ count, data }: SetIrqs): { type: number; bytes: Uint8Array } {
  if (data === undefined) return { type: VFIO_IRQ_SET_DATA_NONE, bytes: new Uint8Array(0) };
  const given = "eventfds" in data ? data.eventfds.length : data.bools.length;
  if (count !== given) throw argumentError("setIrqs", "count", count, `${given}, the number of values given`);
  return "eventfds" in data
    ? { type: VFIO_IRQ_SET_DATA_EVENTFD, bytes: new Uint8Array(Int32Array.from(data.eventfds).buffer) }
    : { type: VFIO_IRQ_SET_DATA_BOOL, bytes: Uint8Array.from(data.bools, Number) };
}

/**
 * `flags`: GET, SET or PROBE with the feature's index. `links`: what the payload's pointers lead to. Answers the
 * payload as the kernel left it.
 */
export const deviceFeature = structIoctl({ VFIO_DEVICE_FEATURE }, vfio_device_feature, {
  extraBytes: (_flags: number, payload: Uint8Array, _links: readonly PayloadLink[]) => payload.length,
  links: (_flags: number, _payload: Uint8Array, links: readonly PayloadLink[]) =>
    links.flatMap(({ offset, bytes }) => [vfio_device_feature.size + offset, bytes]),
  write: (view, flags: number, payload: Uint8Array, _links: readonly PayloadLink[]) => {
    vfio_device_feature.fields.flags.set(view, flags);
    view.bytes.set(payload, vfio_device_feature.size);
  },
  answer: (view) => view.bytes.slice(vfio_device_feature.size),
});

const bind = vfio_device_bind_iommufd.fields;
/** `iommufd`: its descriptor. Answers iommufd's id of the device. */
export const bindIommufd = structIoctl({ VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, {
  write: (view, iommufd: number, vfToken: string | undefined) => {
    bind.iommufd.set(view, iommufd);
    // The structure before Linux 6.17 has no token, and a smaller size says so.
    if (vfToken === undefined) bind.argsz.set(view, bind.token_uuid_ptr.offset);
    else bind.flags.set(view, VFIO_DEVICE_BIND_FLAG_TOKEN);
  },
  links: (_iommufd: number, vfToken: string | undefined) =>
    vfToken === undefined ? [] : [bind.token_uuid_ptr.offset, vfTokenBytes(vfToken)],
  answer: (view) => bind.out_devid.get(view),
});

const attach = vfio_device_attach_iommufd_pt.fields;
/** Attaches to an IOAS or a page table. Answers the id of the page table that the kernel took. */
export const attachPageTable = structIoctl({ VFIO_DEVICE_ATTACH_IOMMUFD_PT }, vfio_device_attach_iommufd_pt, {
  write: (view, pageTable: number) => attach.pt_id.set(view, pageTable),
  answer: (view) => attach.pt_id.get(view),
});

export const detachPageTable = structIoctl({ VFIO_DEVICE_DETACH_IOMMUFD_PT }, vfio_device_detach_iommufd_pt, {
  write: noAnswer,
  answer: noAnswer,
});

/** Has room for so many devices. When there are more: ENOSPC, and their number. */
export const getHotResetInfo = structIoctl({ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO }, vfio_pci_hot_reset_info, {
  extraBytes: (room: number) => room * vfio_pci_dependent_device.size,
  write: (_view, _room: number) => undefined,
  answer: (view): { readonly count: number; readonly info: HotResetInfo } => {
    const { size, fields } = vfio_pci_hot_reset_info;
    const flags = fields.flags.get(view);
    const byDeviceId = (flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) !== 0;
    const count = fields.count.get(view);
    const present = Math.min(count, (view.bytes.length - size) / vfio_pci_dependent_device.size);
    const devices = Array.from({ length: present }, (_, number) =>
      dependentDevice(view.bytes, size + number * vfio_pci_dependent_device.size, byDeviceId),
    );
    const owned = (flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED) !== 0;
    return { count, info: byDeviceId ? { devices, owned } : { devices } };
  },
});

function dependentDevice(bytes: Uint8Array, offset: number, byDeviceId: boolean): HotResetDevice {
  const { fields } = vfio_pci_dependent_device;
  const view = vfio_pci_dependent_device.copyOf(bytes, offset);
  const id = fields.group_id.get(view);
  const devfn = fields.devfn.get(view);
  const domain = fields.segment.get(view).toString(16).padStart(4, "0");
  const bus = fields.bus.get(view).toString(16).padStart(2, "0");
  const slot = (devfn >> 3).toString(16).padStart(2, "0");
  const address = `${domain}:${bus}:${slot}.${devfn & 7}`;
  return byDeviceId ? { address, deviceId: id | 0 } : { address, group: id };
}

/** `groups`: descriptors of all groups that the reset affects; none for devices opened by their files. */
export const hotReset = structIoctl({ VFIO_DEVICE_PCI_HOT_RESET }, vfio_pci_hot_reset, {
  extraBytes: (groups: readonly number[]) => 4 * groups.length,
  write: (view, groups: readonly number[]) => {
    vfio_pci_hot_reset.fields.count.set(view, groups.length);
    view.s32.set(groups, vfio_pci_hot_reset.size / 4);
  },
  answer: noAnswer,
});
