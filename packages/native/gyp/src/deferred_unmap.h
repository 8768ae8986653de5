// Unmaps memory whose ArrayBuffer is garbage, but only while the event loop of its environment runs.
//
// When an environment ends (a worker stops, the process exits) Node calls the finalizers of all external ArrayBuffers,
// also of one whose memory was transferred to another thread that still uses it. The two cases look alike to a
// finalizer. So a finalizer only queues the mapping; a loop that no longer runs leaves it mapped.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <memory>
#include <vector>

#include "mapping.h"

namespace vfio_native {

class DeferredUnmap : public std::enable_shared_from_this<DeferredUnmap> {
 public:
  // The queue of this environment; null when the environment is ending.
  static std::shared_ptr<DeferredUnmap> of(napi_env env);

  ~DeferredUnmap();
  void add(Mapping mapping);

 private:
  bool start(napi_env env);
  void unmapAll();
  void abandonAll();

  uv_idle_t idle_ = {};
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool open_ = false;
  std::vector<Mapping> queue_;
  // Held while libuv knows the handle.
  std::shared_ptr<DeferredUnmap> self_;
};

}  // namespace vfio_native
