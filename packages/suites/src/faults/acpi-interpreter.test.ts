import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemPaths } from "@vfio-selftests/core/sysfs";
import { acpiInterpreter } from "./acpi-interpreter";

let root: string;
let paths: SystemPaths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "acpi-interpreter-"));
  paths = new SystemPaths(root);
  mkdirSync(paths.proc(), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

test("the longest run of ACPICA's functions is the interpreter, whatever lies elsewhere", () => {
  writeFileSync(
    paths.proc("kallsyms"),
    [
      "ffffffff81620455 T acpi_pci_irq_lookup",
      "ffffffff8167736d t acpi_ut_get_mutex_object.part.0",
      "ffffffff81670000 T acpi_ns_evaluate",
      "ffffffff81627f42 t acpi_ds_execute_arguments",
      "ffffffff81630000 t acpi_ex_dump_node",
      "ffffffff8163f000 T acpi_ns_lookup",
      "ffffffff8164d000 T acpi_ps_parse_aml",
      "ffffffff8165b000 T acpi_rs_get_prt_method_data",
      "ffffffff81668000 T acpi_tb_get_table",
      "ffffffff81648d0c t _kzalloc_noprof",
      "ffffffff81677400 T pnp_register_driver",
      "ffffffff828db8a8 T acpi_tb_parse_root_table",
      "ffffffff82a00000 d acpi_ut_data",
      "",
    ].join("\n"),
  );
  expect(acpiInterpreter(paths)).toEqual({ start: 0xffffffff81627f42n, end: 0xffffffff81677400n });
});

test("a kernel without ACPI has none, nor one that hides its addresses", () => {
  expect(acpiInterpreter(paths)).toBeUndefined();
  writeFileSync(paths.proc("kallsyms"), "ffff800080010000 T _stext\n");
  expect(acpiInterpreter(paths)).toBeUndefined();
  writeFileSync(paths.proc("kallsyms"), "0000000000000000 T acpi_ns_evaluate\n");
  expect(acpiInterpreter(paths)).toBeUndefined();
});
