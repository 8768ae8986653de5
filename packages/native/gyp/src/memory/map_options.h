// The options of mapMemory and mapIo, checked.
#pragma once

#include <napi.h>

#include "arguments/argument_check.h"
#include "memory/mapping.h"

namespace vfio_native {

// Meaningless when the check failed.
MapRequest readMapOptions(ArgumentCheck& check, Napi::Value options);

}  // namespace vfio_native
