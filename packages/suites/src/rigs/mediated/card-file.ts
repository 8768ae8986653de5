import { closeAll } from "@vfio-selftests/core/backend";
import { DeviceFile, IommufdFile } from "../raw/iommufd-files";
import { MediatedDevice, type Ports, SERIAL_CARDS } from "./mediated-device";
import { SerialCard } from "./serial-card";

/** A new serial card, opened by its own file, beside an iommufd. Skips the test where the kernel has no such card. */
export class CardFile implements Disposable {
  readonly device: MediatedDevice;
  readonly iommufd: IommufdFile;
  readonly file: DeviceFile;
  /** The iommufd's id of the device, once {@link bound}. */
  id = 0;

  constructor(ports: Ports = 1) {
    // First, because it skips the test where there is none.
    this.device = new MediatedDevice(SERIAL_CARDS[ports]);
    let iommufd: IommufdFile | undefined;
    try {
      iommufd = new IommufdFile();
      this.iommufd = iommufd;
      this.file = new DeviceFile(this.device.openCdev());
    } catch (error) {
      iommufd?.[Symbol.dispose]();
      this.device.remove();
      throw error;
    }
  }

  bound(): SerialCard {
    const { code, id } = this.file.bind(this.iommufd);
    expect(code).toBe("ok");
    this.id = id;
    return new SerialCard(this.file.file);
  }

  [Symbol.dispose](): void {
    closeAll("the serial card", [
      () => this.file[Symbol.dispose](),
      () => this.iommufd[Symbol.dispose](),
      () => this.device.remove(),
    ]);
  }
}
