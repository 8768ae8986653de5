// Turns a bus error of our own register accesses into -EFAULT.
#pragma once

namespace vfio_native {

// Installs the SIGBUS handler, once per process. 0 or -errno.
int installFaultRecovery();

}  // namespace vfio_native
