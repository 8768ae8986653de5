// Memory that an ArrayBuffer shows, and how it ends.
//
// Nobody can tell when JavaScript and Node are done with such memory. zlib, crypto and fs work on it in other threads,
// and JavaScript can move an ArrayBuffer's memory to another ArrayBuffer, even of another thread. So retire() gives
// only the pages back. From then on the addresses hold private zeroed memory, where a late reader or writer does no
// harm, until Node tells that no ArrayBuffer and no request holds them. retire() does not detach the ArrayBuffer
// either: zlib aborts the process when its input is gone between two parts of its work (node_zlib.cc, CHECK of
// IsWithinBounds), and between them it has no request under way.
//
// Node tells only when its event loop turns. Until then retired memory costs addresses alone. The kernel allows a
// process 2^47 bytes of them in some 65,000 mappings, and makes one mapping of retired neighbours.
//
// When an environment ends (a worker stops), Node calls the finalizers of all its ArrayBuffers, including those whose
// memory moved to another thread. A finalizer cannot tell the two cases apart, so it gives the pages back and leaves
// the addresses, with zeroed memory, until the process ends.
#pragma once

#include <node_api.h>

#include <memory>

#include "registers/fault_recovery.h"
#include "memory/mapping.h"

namespace vfio_native {

class ExternalMemory : public std::enable_shared_from_this<ExternalMemory> {
 public:
  explicit ExternalMemory(napi_env env) : env_(env) {}
  ExternalMemory(const ExternalMemory&) = delete;

  // 0; -errno; -ENXIO when the file ends before the requested range.
  int map(const MapRequest& request);
  // An ArrayBuffer of `length` bytes from `begin`, which lie in the mapping. 0 or -errno; called once.
  int show(uint8_t* begin, size_t length, napi_value* buffer);
  // 0; -EBADF when already retired; -errno when nothing changed.
  int retire();

  bool retired() const { return retired_; }
  uint8_t* base() const { return mapping_.base(); }
  size_t length() const { return mapping_.length(); }

 private:
  void release();
  bool environmentEnds() const;
  void onBufferGone();

  napi_env env_;
  Mapping mapping_;
  RecoveredRange recovered_;
  bool retired_ = false;
};

}  // namespace vfio_native
