#include "deferred_unmap.h"

#include <utility>

namespace vfio_native {

std::shared_ptr<DeferredUnmap> DeferredUnmap::of(napi_env env) {
  using Holder = std::shared_ptr<DeferredUnmap>;
  void* data = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok) return nullptr;
  if (data != nullptr) return *static_cast<Holder*>(data);

  auto holder = std::make_unique<Holder>(std::make_shared<DeferredUnmap>());
  const Holder queue = *holder;
  if (!queue->start(env)) return nullptr;
  const auto release = [](napi_env, void* held, void*) { delete static_cast<Holder*>(held); };
  if (napi_set_instance_data(env, holder.get(), release, nullptr) == napi_ok) holder.release();
  return queue;
}

bool DeferredUnmap::start(napi_env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || uv_idle_init(loop, &idle_) != 0) return false;
  idle_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
  self_ = shared_from_this();
  open_ = true;
  const auto onCleanup = [](napi_async_cleanup_hook_handle, void* data) {
    auto* queue = static_cast<DeferredUnmap*>(data);
    queue->open_ = false;
    queue->abandonAll();
    uv_close(reinterpret_cast<uv_handle_t*>(&queue->idle_), [](uv_handle_t* handle) {
      auto* closed = static_cast<DeferredUnmap*>(handle->data);
      napi_remove_async_cleanup_hook(closed->cleanup_);
      closed->self_.reset();
    });
  };
  return napi_add_async_cleanup_hook(env, onCleanup, this, &cleanup_) == napi_ok;
}

DeferredUnmap::~DeferredUnmap() {
  abandonAll();
}

void DeferredUnmap::add(Mapping mapping) {
  queue_.push_back(std::move(mapping));
  if (!open_) return abandonAll();
  uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<DeferredUnmap*>(idle->data)->unmapAll(); });
}

void DeferredUnmap::unmapAll() {
  uv_idle_stop(&idle_);
  queue_.clear();
}

void DeferredUnmap::abandonAll() {
  for (Mapping& mapping : queue_) mapping.abandon();
  queue_.clear();
}

}  // namespace vfio_native
