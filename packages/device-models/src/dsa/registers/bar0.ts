import { msixTableRegisters } from "../../config-space/index";
import { type RegisterDeclarations, registerMap } from "../../registers/index";
import {
  BAR0_SIZE,
  commandCapabilities,
  DSA,
  type DsaOptions,
  ENGCAP,
  GENCAP,
  GRPCAP,
  OFFSETS,
  OPCAP,
  Table,
  WQCAP,
} from "./capabilities";

export const DeviceState = { disabled: 0, enabled: 1, draining: 2, halted: 3 } as const;
export const WorkQueueState = { disabled: 0, enabled: 1, draining: 2 } as const;

/** GENSTS: the reset that brings a halted device back. */
export const ResetType = { software: 0, functionLevel: 1 } as const;

export const InterruptCause = { softwareError: 0x1, command: 0x2, occupancy: 0x4, halt: 0x10 } as const;
export const InterruptEnable = { softwareError: 0x1, halt: 0x2 } as const;

export const CMDSTATUS_ACTIVE = 0x8000_0000;

/** GENCFG: user-mode descriptors may ask for interrupts. */
export const GENCFG_USER_INTERRUPTS = 1 << 12;

/** GRPFLAGS: the fields that are not reserved here. */
const GROUP_FLAGS = 0x0ff0_ffbfn;

/** WQCFG's third word (section 9.2.24). */
export const WqMode = {
  dedicated: 1 << 0,
  blockOnFault: 1 << 1,
  atsDisable: 1 << 2,
  pageRequestsDisable: 1 << 3,
  priority: 0xf << 4,
  pasid: 0xfffff << 8,
  pasidEnable: 1 << 28,
  privileged: 1 << 29,
} as const;

const perWorkQueue = { count: DSA.workQueues, stride: 32 << DSA.workQueueConfigShift } as const;
const perGroup = { count: DSA.groups, stride: 64 } as const;

/** BAR0 (section 9.2). The model's hooks have the effects of registers. */
export function dsaRegisterMap(options: DsaOptions) {
  return registerMap("dsa", BAR0_SIZE, {
    VERSION: { offset: 0x00, bytes: 4, reset: DSA.version },
    GENCAP: { offset: 0x10, bytes: 8, reset: GENCAP },
    WQCAP: { offset: 0x20, bytes: 8, reset: WQCAP },
    GRPCAP: { offset: 0x30, bytes: 8, reset: GRPCAP },
    ENGCAP: { offset: 0x38, bytes: 8, reset: ENGCAP },
    OPCAP: { offset: 0x40, bytes: 8, reset: OPCAP },
    OFFSETS: { offset: 0x60, bytes: 8, reset: OFFSETS },
    GENCFG: { offset: 0x80, bytes: 4, reset: DSA.readBuffers, readWrite: 0x10ff },
    GENCTRL: { offset: 0x88, bytes: 4, readWrite: 0x3 },
    GENSTS: { offset: 0x90, bytes: 4 },
    INTCAUSE: { offset: 0x98, bytes: 4, writeOneToClear: 0x8000_001f },
    CMD: { offset: 0xa0, bytes: 4, accessBytes: [4] },
    CMDSTATUS: { offset: 0xa8, bytes: 4, sticky: 0xffff_ffff },
    CMDCAP: { offset: 0xb0, bytes: 8, reset: commandCapabilities(options) },
    SWERROR0: { offset: 0xc0, bytes: 8, writeOneToClear: 0x3, sticky: 0xffff_ffff_ffff_ffffn },
    SWERROR1: { offset: 0xc8, bytes: 8, sticky: 0xffff_ffff_ffff_ffffn },
    SWERROR2: { offset: 0xd0, bytes: 8, sticky: 0xffff_ffff_ffff_ffffn },
    SWERROR3: { offset: 0xd8, bytes: 8 },

    MSIXPERM: {
      offset: Table.msixPermissions,
      bytes: 4,
      readWrite: 0xffff_f00c,
      repeat: { count: DSA.msixVectors, stride: 8 },
    },

    GRPWQCFG0: { offset: Table.groups + 0x00, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, repeat: perGroup },
    GRPWQCFG1: { offset: Table.groups + 0x08, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, repeat: perGroup },
    GRPWQCFG2: { offset: Table.groups + 0x10, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, repeat: perGroup },
    GRPWQCFG3: { offset: Table.groups + 0x18, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, repeat: perGroup },
    GRPENGCFG: { offset: Table.groups + 0x20, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, repeat: perGroup },
    GRPFLAGS: {
      offset: Table.groups + 0x28,
      bytes: 8,
      reset: BigInt(DSA.readBuffers) << 20n,
      readWrite: GROUP_FLAGS,
      repeat: perGroup,
    },

    WQCFG_SIZE: { offset: Table.workQueues + 0x00, bytes: 4, readWrite: 0xffff, repeat: perWorkQueue },
    WQCFG_THRESHOLD: { offset: Table.workQueues + 0x04, bytes: 4, readWrite: 0xffff, repeat: perWorkQueue },
    WQCFG_MODE: { offset: Table.workQueues + 0x08, bytes: 4, readWrite: 0x3fff_ffff, repeat: perWorkQueue },
    WQCFG_LIMITS: { offset: Table.workQueues + 0x0c, bytes: 4, readWrite: 0x1ff, repeat: perWorkQueue },
    WQCFG_OCCUPANCY_INTERRUPT: {
      offset: Table.workQueues + 0x10,
      bytes: 4,
      readWrite: 0x1_ffff,
      repeat: perWorkQueue,
    },
    WQCFG_OCCUPANCY_LIMIT: { offset: Table.workQueues + 0x14, bytes: 4, readWrite: 0x1_ffff, repeat: perWorkQueue },
    WQCFG_STATE: { offset: Table.workQueues + 0x18, bytes: 4, writeOneToClear: 0x1_0000, repeat: perWorkQueue },
    WQCFG_OPCFG0: {
      offset: Table.workQueues + 0x20,
      bytes: 8,
      reset: OPCAP,
      readWrite: 0xffff_ffff_ffff_ffffn,
      repeat: perWorkQueue,
    },
    WQCFG_OPCFG1: {
      offset: Table.workQueues + 0x28,
      bytes: 8,
      readWrite: 0xffff_ffff_ffff_ffffn,
      repeat: perWorkQueue,
    },
    WQCFG_OPCFG2: {
      offset: Table.workQueues + 0x30,
      bytes: 8,
      readWrite: 0xffff_ffff_ffff_ffffn,
      repeat: perWorkQueue,
    },
    WQCFG_OPCFG3: {
      offset: Table.workQueues + 0x38,
      bytes: 8,
      readWrite: 0xffff_ffff_ffff_ffffn,
      repeat: perWorkQueue,
    },

    ...preserved(msixTableRegisters(Table.msix, DSA.msixVectors)),
    MSIX_PENDING: { offset: Table.msixPending, bytes: 8 },
  });
}

/** Registers that the Reset Device command leaves alone (table 9-3). In this map, sticky means just that. */
function preserved<const D extends RegisterDeclarations>(declarations: D): D {
  const sticky = Object.entries(declarations).map(([name, d]) => [name, { ...d, sticky: d.readWrite ?? 0 }] as const);
  return Object.fromEntries(sticky) as D;
}

export type DsaRegisterMap = ReturnType<typeof dsaRegisterMap>;
export type DsaRegisters = DsaRegisterMap["declarations"];
