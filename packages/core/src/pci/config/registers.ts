/**
 * PCI configuration space, type 0 header. Offsets in bytes.
 * PCI Local Bus Specification 3.0, section 6.1; PCI Express Base Specification, section 7.5.
 */
export const PciConfig = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  /** Programming interface, sub-class and base class: three bytes. */
  classCode: 0x09,
  headerType: 0x0e,
  bar0: 0x10,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  romAddress: 0x30,
  capabilityPointer: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
  /** First byte after the header: where capabilities may start. */
  headerEnd: 0x40,
  /** Size of conventional configuration space, where extended capabilities start. */
  conventionalSize: 0x100,
  /** Size of PCI Express configuration space. */
  extendedSize: 0x1000,
} as const;

/** Bits of the command register. */
export const PciCommand = {
  io: 1 << 0,
  memory: 1 << 1,
  busMaster: 1 << 2,
  interruptDisable: 1 << 10,
} as const;

/** Bits of the status register. */
export const PciStatus = {
  interrupt: 1 << 3,
  capabilityList: 1 << 4,
} as const;

/** Bits of a base address register. */
export const PciBar = {
  io: 1 << 0,
  typeMask: 3 << 1,
  type64: 2 << 1,
  prefetchable: 1 << 3,
} as const;

/** Capability ids (PCI Code and ID Assignment Specification, section 2). */
export const PciCapabilityId = {
  powerManagement: 0x01,
  vpd: 0x03,
  msi: 0x05,
  vendorSpecific: 0x09,
  pciExpress: 0x10,
  msix: 0x11,
  advancedFeatures: 0x13,
} as const;

/** Extended capability ids (PCI Code and ID Assignment Specification, section 3). */
export const PciExtendedCapabilityId = {
  advancedErrorReporting: 0x0001,
  deviceSerialNumber: 0x0003,
  accessControlServices: 0x000d,
  alternativeRoutingId: 0x000e,
  addressTranslationServices: 0x000f,
  singleRootIov: 0x0010,
  pageRequestInterface: 0x0013,
  resizableBar: 0x0015,
  processAddressSpaceId: 0x001b,
  designatedVendorSpecific: 0x0023,
} as const;

/** Names of capabilities by id, for people. */
export const pciCapabilityNames: Readonly<Record<number, string>> = {
  0x00: "Null",
  0x01: "Power Management",
  0x02: "AGP",
  0x03: "Vital Product Data",
  0x04: "Slot Identification",
  0x05: "MSI",
  0x06: "CompactPCI Hot Swap",
  0x07: "PCI-X",
  0x08: "HyperTransport",
  0x09: "Vendor Specific",
  0x0a: "Debug Port",
  0x0b: "CompactPCI Central Resource Control",
  0x0c: "PCI Hot-Plug",
  0x0d: "Bridge Subsystem Vendor ID",
  0x0e: "AGP 8x",
  0x0f: "Secure Device",
  0x10: "PCI Express",
  0x11: "MSI-X",
  0x12: "SATA",
  0x13: "Advanced Features",
  0x14: "Enhanced Allocation",
  0x15: "Flattening Portal Bridge",
};

/** Names of extended capabilities by id, for people. */
export const pciExtendedCapabilityNames: Readonly<Record<number, string>> = {
  0x0000: "Null",
  0x0001: "Advanced Error Reporting",
  0x0002: "Virtual Channel",
  0x0003: "Device Serial Number",
  0x0004: "Power Budgeting",
  0x0005: "Root Complex Link Declaration",
  0x0006: "Root Complex Internal Link Control",
  0x0007: "Root Complex Event Collector",
  0x0008: "Multi-Function Virtual Channel",
  0x0009: "Virtual Channel (with MFVC)",
  0x000a: "Root Complex Register Block",
  0x000b: "Vendor Specific",
  0x000c: "Configuration Access Correlation",
  0x000d: "Access Control Services",
  0x000e: "Alternative Routing-ID",
  0x000f: "Address Translation Services",
  0x0010: "Single Root I/O Virtualization",
  0x0011: "Multi-Root I/O Virtualization",
  0x0012: "Multicast",
  0x0013: "Page Request Interface",
  0x0015: "Resizable BAR",
  0x0016: "Dynamic Power Allocation",
  0x0017: "TPH Requester",
  0x0018: "Latency Tolerance Reporting",
  0x0019: "Secondary PCI Express",
  0x001a: "Protocol Multiplexing",
  0x001b: "Process Address Space ID",
  0x001c: "LN Requester",
  0x001d: "Downstream Port Containment",
  0x001e: "L1 PM Substates",
  0x001f: "Precision Time Measurement",
  0x0020: "PCI Express over M-PHY",
  0x0021: "FRS Queueing",
  0x0022: "Readiness Time Reporting",
  0x0023: "Designated Vendor-Specific",
  0x0024: "VF Resizable BAR",
  0x0025: "Data Link Feature",
  0x0026: "Physical Layer 16.0 GT/s",
  0x0027: "Lane Margining at the Receiver",
  0x0028: "Hierarchy ID",
  0x0029: "Native PCIe Enclosure Management",
  0x002a: "Physical Layer 32.0 GT/s",
  0x002b: "Alternate Protocol",
  0x002c: "System Firmware Intermediary",
  0x002d: "Shadow Functions",
  0x002e: "Data Object Exchange",
  0x002f: "Device 3",
  0x0030: "Integrity and Data Encryption",
  0x0031: "Physical Layer 64.0 GT/s",
  0x0032: "Flit Logging",
  0x0033: "Flit Performance Measurement",
  0x0034: "Flit Error Injection",
};
