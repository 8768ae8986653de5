// Bytes and file descriptors over a Unix stream socket, with bounded waits.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "arguments/bytes.h"
#include "arguments/unique_descriptor.h"

namespace vfio_native {

constexpr size_t maximumDescriptors = 253;  // SCM_MAX_FD of the kernel

// Sends all of the parts, and changes them. The total or -errno.
int64_t sendAll(int fd, iovec* parts, size_t partCount, const std::vector<int>& fds, int64_t timeoutMs);

struct Received {
  int64_t length = 0;
  std::vector<UniqueDescriptor> fds;
  bool fdsTruncated = false;
};

struct ReceiveRequest {
  int fd;
  Bytes into;
  size_t maxFds;
  int64_t spinNanoseconds;
  int64_t timeoutMs;
  bool waitAll;
};

Received receive(const ReceiveRequest& request);

}  // namespace vfio_native
