// The checked options of mapMemory and mapIo.
#pragma once

#include <napi.h>

#include "arguments/argument_check.h"
#include "memory/mapping.h"

namespace vfio_native {

// The result means nothing when the check failed.
MapRequest readMapOptions(ArgumentCheck& check, Napi::Value options);

}  // namespace vfio_native
