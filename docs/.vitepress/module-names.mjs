// Names the API's modules as an import does: `@vfio-selftests/core/pci`, where TypeDoc has the file's path, `core/src/pci`.
import { Converter, ReflectionKind } from "typedoc";

export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      module.name = `@vfio-selftests/${module.name.replace(/\/src(?=\/|$)/, "")}`;
    }
  });
}
