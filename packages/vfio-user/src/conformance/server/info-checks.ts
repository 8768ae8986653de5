import { fstatSync } from "node:fs";
import { demand, NotApplicable } from "../check";
import { u32At, u64At } from "../wire/bytes";
import { type Conversation, describe, type Frame } from "../wire/conversation";
import { isError } from "../wire/header-flags";
import { deviceInfo, irqInfo, regionInfo, regionIoFds } from "../wire/messages";
import { CONFIG_REGION, REGION_CAPS_FLAG, REGION_MMAP_FLAG } from "./device-facts";
import { requireArgszObeyed, requireError, requireSuccess } from "./expectations";
import { family } from "./family";

/** VFIO_DEVICE_FLAGS_RESET and VFIO_DEVICE_FLAGS_PCI. */
const DEVICE_FLAGS = 3;
const PCI_FLAG = 2;
const PCI_REGIONS = 9;
const PCI_IRQS = 5;
const REGION_FLAGS = 0xf;
const IRQ_FLAGS = 0xf;
/** More than any reply needs. */
const AMPLE = 4096;
const CAP_HEADER = 8;
const SPARSE_MMAP = 1;

export const deviceInfoChecks = family("device_info", "VFIO_USER_DEVICE_GET_INFO", {
  reply_has_16_bytes: (server) => {
    const { body, ...reply } = server.greeted().ask("DEVICE_GET_INFO", deviceInfo());
    requireSuccess({ ...reply, body }, 16);
    demand(u32At(body, 0) === 16, "argsz 16", u32At(body, 0));
  },
  tells_of_a_pci_device: (server) => {
    const { body } = server.greeted().ask("DEVICE_GET_INFO", deviceInfo());
    const flags = u32At(body, 4);
    demand((flags & ~DEVICE_FLAGS) === 0, "no flags but reset (1) and PCI (2)", `0x${flags.toString(16)}`);
    demand((flags & PCI_FLAG) !== 0, "VFIO_DEVICE_FLAGS_PCI: this version knows no other", `0x${flags.toString(16)}`);
    demand(u32At(body, 8) >= PCI_REGIONS, "at least 9 regions (VFIO_PCI_NUM_REGIONS)", u32At(body, 8));
    demand(u32At(body, 12) >= PCI_IRQS, "at least 5 interrupt types (VFIO_PCI_NUM_IRQS)", u32At(body, 12));
  },
  argsz_of_the_reply_is_what_it_needs: (server) => {
    const { body, ...reply } = server.greeted().ask("DEVICE_GET_INFO", deviceInfo(AMPLE));
    demand(!isError(reply) && u32At(body, 0) === body.length, `argsz ${body.length}`, u32At(body, 0));
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = server.greeted();
    for (const argsz of [0, 8, 15])
      requireArgszObeyed(conversation.ask("DEVICE_GET_INFO", deviceInfo(argsz)), argsz, 16);
  },
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const length of [0, 1, 4, 15]) {
      requireError(conversation.ask("DEVICE_GET_INFO", deviceInfo().subarray(0, length)), `a body of ${length} bytes`);
    }
  },
});

function askRegion(conversation: Conversation, index: number, argsz = AMPLE): Frame {
  const reply = conversation.ask("DEVICE_GET_REGION_INFO", regionInfo(index, argsz));
  if (isError(reply)) return reply;
  demand(reply.body.length >= 32, `at least 32 bytes for region ${index}`, reply.body.length);
  demand(u32At(reply.body, 8) === index, `index ${index}`, u32At(reply.body, 8));
  return reply;
}

/** The sparse-mmap areas of a reply, after a walk through its capability chain. */
function sparseAreas(body: Uint8Array): { offset: bigint; size: bigint }[] {
  const areas: { offset: bigint; size: bigint }[] = [];
  const seen = new Set<number>();
  for (let at = u32At(body, 12); at !== 0; at = u32At(body, at + 4)) {
    demand(!seen.has(at), "a chain of capabilities that ends", `one that comes back to ${at}`);
    demand(
      at >= 32 && at + CAP_HEADER <= body.length,
      "capabilities inside the reply",
      `one at ${at} of ${body.length}`,
    );
    seen.add(at);
    if ((u32At(body, at) & 0xffff) !== SPARSE_MMAP) continue;
    const count = u32At(body, at + CAP_HEADER);
    const first = at + 2 * CAP_HEADER;
    demand(first + count * 16 <= body.length, `room for ${count} areas`, `${body.length - first} bytes`);
    for (let i = 0; i < count; i += 1) {
      areas.push({ offset: u64At(body, first + 16 * i), size: u64At(body, first + 16 * i + 8) });
    }
  }
  return areas;
}

/** Calls `check` with the whole reply of each region that may be mapped. */
function eachMappable(
  conversation: Conversation,
  regionCount: number,
  check: (reply: Frame, index: number) => void,
): void {
  let found = false;
  for (let index = 0; index < Math.min(regionCount, 64); index += 1) {
    const reply = askRegion(conversation, index);
    if (isError(reply) || (u32At(reply.body, 4) & REGION_MMAP_FLAG) === 0) continue;
    found = true;
    check(reply, index);
  }
  if (!found) throw new NotApplicable("no region of the device can be mapped", "serve a device with such a region");
}

export const regionInfoChecks = family("region_info", "VFIO_USER_DEVICE_GET_REGION_INFO", {
  every_region_answers: (server) => {
    const { conversation, facts } = server.device();
    for (let index = 0; index < Math.min(facts.regionCount, 64); index += 1) {
      const reply = askRegion(conversation, index);
      if (isError(reply)) continue;
      const { body } = reply;
      demand(u32At(body, 0) === body.length, `argsz ${body.length} for region ${index}`, u32At(body, 0));
      const flags = u32At(body, 4);
      demand((flags & ~REGION_FLAGS) === 0, `known flags of region ${index}`, `0x${flags.toString(16)}`);
    }
  },
  configuration_space_is_there: (server) => {
    const { body, ...reply } = askRegion(server.greeted(), CONFIG_REGION);
    demand(!isError(reply), "region 7, configuration space", describe({ ...reply, body }));
    demand(u64At(body, 16) >= 256n, "at least 256 bytes of configuration space", u64At(body, 16));
    demand(
      (u32At(body, 4) & 1) !== 0,
      "that configuration space can be read",
      `flags 0x${u32At(body, 4).toString(16)}`,
    );
  },
  index_beyond_the_last_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const index of [facts.regionCount, facts.regionCount + 1, 0x7fff_ffff, 0xffff_ffff]) {
      requireError(conversation.ask("DEVICE_GET_REGION_INFO", regionInfo(index)), `region ${index}`);
    }
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = server.greeted();
    for (const argsz of [0, 8, 31]) {
      requireArgszObeyed(conversation.ask("DEVICE_GET_REGION_INFO", regionInfo(CONFIG_REGION, argsz)), argsz, 32);
    }
  },
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const length of [0, 4, 12, 31]) {
      const reply = conversation.ask("DEVICE_GET_REGION_INFO", regionInfo(0).subarray(0, length));
      // Some clients leave out the fields that must be zero, and some servers take that.
      if (length < 12) requireError(reply, `a body of ${length} bytes`);
    }
  },
  argsz_without_room_for_capabilities_says_what_is_needed: (server) => {
    const { conversation, facts } = server.device();
    let found = false;
    for (let index = 0; index < Math.min(facts.regionCount, 64); index += 1) {
      const whole = askRegion(conversation, index);
      if (isError(whole) || (u32At(whole.body, 4) & REGION_CAPS_FLAG) === 0) continue;
      found = true;
      const short = askRegion(conversation, index, 32);
      requireSuccess(short, 32);
      const told = u32At(short.body, 0);
      demand(told === whole.body.length, `argsz ${whole.body.length} in the short reply of region ${index}`, told);
    }
    if (!found) throw new NotApplicable("no region has capabilities", "serve a device with a sparse region");
  },
  a_mappable_region_comes_with_a_descriptor: (server) => {
    const { conversation, facts } = server.device();
    eachMappable(conversation, facts.regionCount, ({ fds }, index) => {
      demand((fds?.length ?? 0) >= 1, `a descriptor with region ${index}`, "none");
    });
  },
  the_file_holds_what_may_be_mapped: (server) => {
    const { conversation, facts } = server.device();
    eachMappable(conversation, facts.regionCount, ({ body, fds }, index) => {
      const [fd = -1] = fds ?? [];
      demand(fd >= 0, `a descriptor with region ${index}`, "none");
      const [size, base] = [u64At(body, 16), u64At(body, 24)];
      const areas = (u32At(body, 4) & REGION_CAPS_FLAG) === 0 ? [] : sparseAreas(body);
      const file = BigInt(fstatSync(fd).size);
      for (const area of areas.length === 0 ? [{ offset: 0n, size }] : areas) {
        const end = area.offset + area.size;
        demand(end <= size, `areas inside the ${size} bytes of region ${index}`, `one that ends at ${end}`);
        demand(
          base + end <= file,
          `a file with the mappable areas of region ${index}`,
          `${file} bytes, ${base + end} needed`,
        );
      }
    });
  },
});

export const regionIoFdsChecks = family("region_io_fds", "VFIO_USER_DEVICE_GET_REGION_IO_FDS", {
  every_region_answers: (server) => {
    const { conversation, facts } = server.device();
    for (const { index } of facts.regions()) {
      const reply = conversation.ask("DEVICE_GET_REGION_IO_FDS", regionIoFds(index));
      if (isError(reply)) continue;
      const { body, fds = [] } = reply;
      demand(body.length >= 16, "at least 16 bytes", body.length);
      const [argsz, flags, echoed, count] = [0, 4, 8, 12].map((at) => u32At(body, at)) as [
        number,
        number,
        number,
        number,
      ];
      demand(flags === 0, "flags 0", flags);
      demand(echoed === index, `index ${index}`, echoed);
      demand(argsz === body.length, `argsz ${body.length}`, argsz);
      if (count === 0) continue;
      const entry = (body.length - 16) / count;
      demand(Number.isInteger(entry) && entry >= 32, `${count} sub-regions of one size`, `${body.length - 16} bytes`);
      for (let i = 0; i < count; i += 1) {
        const used = u32At(body, 16 + i * entry + 16);
        demand(used < fds.length, `fd_index below ${fds.length}`, used);
      }
    }
  },
  index_beyond_the_last_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const index of [facts.regionCount, 0xffff_ffff]) {
      requireError(conversation.ask("DEVICE_GET_REGION_IO_FDS", regionIoFds(index)), `region ${index}`);
    }
  },
  flags_must_be_zero: (server) => {
    requireError(server.greeted().ask("DEVICE_GET_REGION_IO_FDS", regionIoFds(0, { flags: 1 })), "flags 1");
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = server.greeted();
    for (const argsz of [0, 8, 15]) {
      requireArgszObeyed(conversation.ask("DEVICE_GET_REGION_IO_FDS", regionIoFds(0, { argsz })), argsz, 16);
    }
  },
});

export const irqInfoChecks = family("irq_info", "VFIO_USER_DEVICE_GET_IRQ_INFO", {
  every_type_answers: (server) => {
    const { conversation, facts } = server.device();
    for (let index = 0; index < Math.min(facts.irqCount, 64); index += 1) {
      const reply = conversation.ask("DEVICE_GET_IRQ_INFO", irqInfo(index));
      if (isError(reply)) continue;
      requireSuccess(reply, 16);
      const { body } = reply;
      demand(u32At(body, 0) === 16, "argsz 16", u32At(body, 0));
      demand(u32At(body, 8) === index, `index ${index}`, u32At(body, 8));
      demand((u32At(body, 4) & ~IRQ_FLAGS) === 0, "known flags", `0x${u32At(body, 4).toString(16)}`);
    }
  },
  index_beyond_the_last_is_an_error: (server) => {
    const { conversation, facts } = server.device();
    for (const index of [facts.irqCount, 0x7fff_ffff, 0xffff_ffff]) {
      requireError(conversation.ask("DEVICE_GET_IRQ_INFO", irqInfo(index)), `interrupt type ${index}`);
    }
  },
  argsz_too_small_is_obeyed: (server) => {
    const conversation = server.greeted();
    for (const argsz of [0, 8, 15])
      requireArgszObeyed(conversation.ask("DEVICE_GET_IRQ_INFO", irqInfo(0, argsz)), argsz, 16);
  },
  truncated_request_is_an_error: (server) => {
    const conversation = server.greeted();
    for (const length of [0, 4, 11]) {
      requireError(
        conversation.ask("DEVICE_GET_IRQ_INFO", irqInfo(0).subarray(0, length)),
        `a body of ${length} bytes`,
      );
    }
  },
});
