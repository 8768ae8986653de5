#pragma once

namespace vfio_native {

struct CpuFeatures {
  bool movdir64b;
};

const CpuFeatures& cpuFeatures();

}  // namespace vfio_native
