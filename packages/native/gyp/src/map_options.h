// The options of mapMemory and mapIo, checked.
#pragma once

#include <napi.h>

#include "argument_check.h"
#include "mapping.h"

namespace vfio_native {

// Meaningless when the check failed.
MapRequest readMapOptions(ArgumentCheck& check, Napi::Value options);

}  // namespace vfio_native
