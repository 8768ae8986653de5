/** How a user names a PCI device, in help texts. `target/named-devices.ts` reads it. */
export const DEVICE_FORMS = "0000:6a:01.0, or VENDOR:DEVICE (8086:10c9)";
