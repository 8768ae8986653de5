import { KERNEL_MODE_NAMES } from "@vfio-selftests/core";

interface UpstreamFixture {
  /** The C file without its ending, and so the program's name (tools/testing/selftests/vfio/). */
  readonly program: string;
  readonly fixture: string;
  /** Empty: the fixture has no variants. */
  readonly variants: readonly string[];
  readonly tests: readonly string[];
}

/** One variant per mode and suffix, in upstream's order: the suffix is the outer loop. */
function perMode(...suffixes: readonly string[]): string[] {
  return suffixes.flatMap((suffix) => KERNEL_MODE_NAMES.map((mode) => mode + suffix));
}

/** Every fixture of the kernel's VFIO selftests (Linux 7.3), as `-l` of the C programs lists them. */
export const UPSTREAM_FIXTURES: readonly UpstreamFixture[] = [
  {
    program: "vfio_dma_mapping_test",
    fixture: "vfio_dma_mapping_test",
    variants: perMode("_anonymous", "_anonymous_hugetlb_2mb", "_anonymous_hugetlb_1gb"),
    tests: ["dma_map_unmap"],
  },
  {
    program: "vfio_dma_mapping_test",
    fixture: "vfio_dma_map_limit_test",
    variants: perMode(""),
    tests: ["unmap_range", "unmap_all", "overflow"],
  },
  {
    program: "vfio_dma_mapping_mmio_test",
    fixture: "vfio_dma_mapping_mmio_test",
    variants: perMode(""),
    tests: ["map_full_bar", "map_partial_bar", "map_bar_misaligned"],
  },
  {
    program: "vfio_iommufd_setup_test",
    fixture: "vfio_cdev",
    variants: [],
    tests: [
      "bind",
      "get_info_without_bind_fails",
      "bind_bad_iommufd_fails",
      "repeated_bind_fails",
      "attach_detatch_pt",
      "attach_invalid_pt_fails",
    ],
  },
  {
    program: "vfio_pci_device_test",
    fixture: "vfio_pci_device_test",
    variants: [],
    tests: ["config_space_read_write", "validate_bars", "reset"],
  },
  {
    program: "vfio_pci_device_test",
    fixture: "vfio_pci_irq_test",
    variants: ["msi", "msix"],
    tests: ["enable_trigger_disable"],
  },
  {
    program: "vfio_pci_device_init_perf_test",
    fixture: "vfio_pci_device_init_perf_test",
    variants: perMode(""),
    tests: ["init"],
  },
  {
    program: "vfio_pci_driver_test",
    fixture: "vfio_pci_driver_test",
    variants: perMode(""),
    tests: [
      "init_remove",
      "memcpy_success",
      "memcpy_from_unmapped_iova",
      "memcpy_to_unmapped_iova",
      "send_msi",
      "mix_and_match",
      "memcpy_storm",
    ],
  },
  {
    program: "vfio_pci_sriov_uapi_test",
    fixture: "vfio_pci_sriov_uapi_test",
    variants: perMode("_same_uuid", "_diff_uuid", "_null_uuid"),
    tests: ["init_token_match", "pf_early_close", "override_token"],
  },
];

/** The ids of one fixture's tests. */
export function upstreamFixtureIds({ fixture, variants, tests }: UpstreamFixture): string[] {
  const blocks = variants.length === 0 ? [fixture] : variants.map((variant) => `${fixture}.${variant}`);
  return blocks.flatMap((block) => tests.map((test) => `${block}.${test}`));
}

/** All of upstream's ids. */
export const UPSTREAM_IDS: readonly string[] = UPSTREAM_FIXTURES.flatMap(upstreamFixtureIds);
