// Waiting: poll(2) that blocks the thread, and pollers on the event loop.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "addon.h"
#include "arguments/argument_check.h"
#include "arguments/shared_closure.h"
#include "arguments/unique_descriptor.h"
#include "waiting/waiting.h"

namespace vfio_native {
namespace {

constexpr short knownEvents = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;

int uvEvents(short events) {
  int result = 0;
  if ((events & POLLIN) != 0) result |= UV_READABLE;
  if ((events & POLLPRI) != 0) result |= UV_PRIORITIZED;
  if ((events & POLLOUT) != 0) result |= UV_WRITABLE;
  if ((events & POLLRDHUP) != 0) result |= UV_DISCONNECT;
  return result;
}

// Whether the descriptor is an eventfd, which has no other end that could hang up.
bool isEventfd(int fd) {
  constexpr std::string_view name = "anon_inode:[eventfd]";
  char target[name.size() + 1];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  return length > 0 && std::string_view(target, static_cast<size_t>(length)) == name;
}

// One wait at a time for one descriptor, on one event loop. The object lives while a JavaScript function of it is
// reachable or libuv knows one of its handles.
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  // 0 or -errno.
  int open(napi_env env, int fd);

  int start(short events, int64_t timeoutMs, bool ref, napi_value callback);
  int take(int64_t timeoutMs, bool ref, napi_value taken, napi_value ended);
  int stop();
  int close();
  bool waiting() const { return callback_ != nullptr; }
  // Called when the last JavaScript function of it is garbage.
  void abandoned();

 private:
  static Poller& of(void* handle) { return *static_cast<Poller*>(static_cast<uv_handle_t*>(handle)->data); }

  int watch();
  void setTimer(int64_t milliseconds);
  int readyEvents() const;
  void onEvent(int status, int events);
  void onTimer();
  bool finishWithCount();
  void finish(int result);
  void end(napi_ref function, uint64_t count, int result);
  void beginClose();
  void onHandleClosed();

  napi_env env_ = nullptr;
  // A duplicate, because libuv allows one handle per descriptor and loop, and the caller may close its own at any time.
  UniqueDescriptor fd_;
  uv_poll_t poll_ = {};
  uv_timer_t timer_ = {};
  napi_async_context asyncContext_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  // Called once, when the wait ends. Null: no wait is under way.
  napi_ref callback_ = nullptr;
  // Called in its place with the count that the wait took from an eventfd. Null: the wait takes nothing.
  napi_ref taken_ = nullptr;
  short events_ = 0;
  // What the handle was last started for.
  short watched_ = 0;
  bool eventfd_ = false;
  bool nonBlocking_ = false;
  bool canceled_ = false;
  bool closing_ = false;
  bool abandoned_ = false;
  bool environmentEnds_ = false;
  int openHandles_ = 0;
  std::shared_ptr<Poller> self_;
};

int Poller::open(napi_env env, int fd) {
  env_ = env;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ECANCELED;
  fd_ = UniqueDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (fd_.get() < 0) return -errno;
  // libuv makes the open file non-blocking, and the caller's descriptor shares that file. A poller must not change it.
  const int statusFlags = fcntl(fd_.get(), F_GETFL);
  eventfd_ = isEventfd(fd_.get());
  nonBlocking_ = (statusFlags & O_NONBLOCK) != 0;
  const int result = uv_poll_init(loop, &poll_, fd_.get());
  fcntl(fd_.get(), F_SETFL, statusFlags);
  if (result != 0) return result;
  uv_timer_init(loop, &timer_);
  poll_.data = timer_.data = this;
  openHandles_ = 2;
  self_ = shared_from_this();

  napi_value name = nullptr;
  napi_create_string_utf8(env, "VfioNativePoller", NAPI_AUTO_LENGTH, &name);
  const auto onCleanup = [](napi_async_cleanup_hook_handle, void* data) {
    auto* poller = static_cast<Poller*>(data);
    poller->environmentEnds_ = true;
    if (!poller->closing_) poller->beginClose();
  };
  if (napi_async_init(env, nullptr, name, &asyncContext_) == napi_ok &&
      napi_add_async_cleanup_hook(env, onCleanup, this, &cleanup_) == napi_ok) {
    return 0;
  }
  beginClose();
  return -ECANCELED;
}

// A handle that watches for these events already is left alone. To start it again would cost two system calls.
int Poller::watch() {
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&poll_)) != 0 && watched_ == events_) return 0;
  watched_ = events_;
  const auto onEvent = [](uv_poll_t* handle, int status, int events) { of(handle).onEvent(status, events); };
  return uv_poll_start(&poll_, uvEvents(events_), onEvent);
}

void Poller::setTimer(int64_t milliseconds) {
  const auto onTimeout = [](uv_timer_t* handle) { of(handle).onTimer(); };
  uv_timer_start(&timer_, onTimeout, static_cast<uint64_t>(milliseconds), 0);
}

int Poller::readyEvents() const {
  pollfd polled = {fd_.get(), events_, 0};
  if (poll(&polled, 1, 0) < 0) return errno == EINTR ? 0 : -errno;
  return polled.revents;
}

int Poller::start(short events, int64_t timeoutMs, bool ref, napi_value callback) {
  if (closing_) return -EBADF;
  if (waiting()) return -EBUSY;
  events_ = events;
  canceled_ = false;
  for (auto* handle : {reinterpret_cast<uv_handle_t*>(&poll_), reinterpret_cast<uv_handle_t*>(&timer_)}) {
    ref ? uv_ref(handle) : uv_unref(handle);
  }
  const int result = watch();
  if (result != 0) return result;
  // The loop's clock stands still while JavaScript runs, and counts whole milliseconds. Without an update and one more
  // millisecond the wait could end early.
  uv_update_time(poll_.loop);
  setTimer(timeoutMs + 1);
  napi_create_reference(env_, callback, 1, &callback_);
  return 0;
}

// A read of a file that blocks could stop the loop: another reader may have been faster.
int Poller::take(int64_t timeoutMs, bool ref, napi_value taken, napi_value ended) {
  if (!closing_ && (!eventfd_ || !nonBlocking_)) return -EINVAL;
  const int result = start(POLLIN, timeoutMs, ref, ended);
  if (result == 0) napi_create_reference(env_, taken, 1, &taken_);
  return result;
}

int Poller::stop() {
  if (closing_) return -EBADF;
  if (!waiting() || canceled_) return 0;
  canceled_ = true;
  uv_poll_stop(&poll_);
  setTimer(0);
  return 0;
}

int Poller::close() {
  if (closing_) return -EBADF;
  beginClose();
  return 0;
}

void Poller::abandoned() {
  abandoned_ = true;
  if (!waiting() && !closing_) beginClose();
}

// libuv reports POLLERR as EBADF and hides POLLHUP. poll(2) gives both, as pollBlocking does. It takes an interrupt two
// microseconds longer, which an eventfd can do without.
void Poller::onEvent(int status, int events) {
  const bool known = eventfd_ && status == 0 && events == UV_READABLE;
  if (taken_ != nullptr && known) {
    if (!finishWithCount()) watch();
    return;
  }
  const int ready = known ? POLLIN : readyEvents();
  if (ready != 0) return finish(ready);
  watch();  // nothing is ready any more, and libuv stops a handle that reported an error
}

void Poller::onTimer() {
  if (canceled_) return finish(-ECANCELED);
  if (taken_ != nullptr && finishWithCount()) return;
  finish(taken_ != nullptr ? 0 : readyEvents());
}

// Takes the eventfd's count and ends the wait with it. False when there is none (any more).
bool Poller::finishWithCount() {
  uint64_t count = 0;
  if (read(fd_.get(), &count, sizeof count) != sizeof count) {
    if (errno == EAGAIN || errno == EINTR) return false;
    finish(-errno);
    return true;
  }
  end(taken_, count, 0);
  return true;
}

void Poller::finish(int result) {
  end(callback_, 0, result);
}

// Ends the wait and calls the function with the count, or with the result when there is no count. The function may start
// the next wait or close.
void Poller::end(napi_ref function, uint64_t count, int result) {
  const std::shared_ptr<Poller> alive = self_;
  napi_ref callbackOfThisWait = std::exchange(callback_, nullptr);
  napi_ref takenOfThisWait = std::exchange(taken_, nullptr);
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value callback = nullptr;
  napi_value receiver = nullptr;
  napi_value argument = nullptr;
  napi_get_reference_value(env_, function, &callback);
  if (count != 0) {
    napi_create_bigint_uint64(env_, count, &argument);
  } else {
    argument = int32Value(env_, result);
  }
  napi_get_global(env_, &receiver);
  // Opens a callback scope: promise continuations run before it returns.
  if (napi_make_callback(env_, asyncContext_, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env_, &error);
    napi_fatal_exception(env_, error);
  }
  napi_close_handle_scope(env_, scope);
  // Only now, because all that follows would come between the event and its waiter.
  napi_delete_reference(env_, callbackOfThisWait);
  if (takenOfThisWait != nullptr) napi_delete_reference(env_, takenOfThisWait);
  if (waiting() || closing_) return;
  uv_timer_stop(&timer_);
  uv_poll_stop(&poll_);
  if (abandoned_) beginClose();
}

void Poller::beginClose() {
  closing_ = true;
  const auto onClosed = [](uv_handle_t* handle) { of(handle).onHandleClosed(); };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), onClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), onClosed);
}

void Poller::onHandleClosed() {
  openHandles_--;
  if (openHandles_ > 0) return;
  const std::shared_ptr<Poller> alive = self_;
  if (waiting() && !environmentEnds_) finish(-ECANCELED);
  self_.reset();
  fd_ = UniqueDescriptor();
  if (asyncContext_ != nullptr) napi_async_destroy(env_, std::exchange(asyncContext_, nullptr));
  if (cleanup_ != nullptr) napi_remove_async_cleanup_hook(std::exchange(cleanup_, nullptr));
}

// The state that the JavaScript functions of a poller share.
struct PollerHandle {
  std::shared_ptr<Poller> poller;
  explicit PollerHandle(std::shared_ptr<Poller> opened) : poller(std::move(opened)) {}
  PollerHandle(const PollerHandle&) = delete;
  ~PollerHandle() { poller->abandoned(); }
};

napi_value take(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  auto* handle = closureState<PollerHandle>(env, info, arguments);
  ArgumentCheck check(env, "take");
  const int64_t timeoutMs = check.integer(Napi::Value(env, arguments[0]), "timeoutMs", INT32_MIN, INT32_MAX);
  const bool ref = check.boolean(Napi::Value(env, arguments[1]), "ref");
  napi_value taken = check.function(Napi::Value(env, arguments[2]), "taken");
  napi_value ended = check.function(Napi::Value(env, arguments[3]), "ended");
  if (check.failed()) return nullptr;
  if (timeoutMs < 0) return int32Value(env, -EINVAL);
  return int32Value(env, handle->poller->take(timeoutMs, ref, taken, ended));
}

napi_value waiting(napi_env env, napi_callback_info info) {
  napi_value result = nullptr;
  napi_get_boolean(env, closureState<PollerHandle>(env, info)->poller->waiting(), &result);
  return result;
}

napi_value start(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  auto* handle = closureState<PollerHandle>(env, info, arguments);
  ArgumentCheck check(env, "start");
  const Napi::Value eventsValue(env, arguments[0]);
  const auto events = static_cast<short>(check.integer(eventsValue, "events", 1, INT16_MAX));
  const int64_t timeoutMs = check.integer(Napi::Value(env, arguments[1]), "timeoutMs", INT32_MIN, INT32_MAX);
  const bool ref = check.boolean(Napi::Value(env, arguments[2]), "ref");
  napi_value callback = check.function(Napi::Value(env, arguments[3]), "callback");
  if ((events & ~knownEvents) != 0) {
    check.outOfRange(eventsValue, "events", "POLLIN (1), POLLPRI (2), POLLOUT (4), POLLRDHUP (0x2000) or a union");
  }
  if (check.failed()) return nullptr;
  if (timeoutMs < 0) return int32Value(env, -EINVAL);
  return int32Value(env, handle->poller->start(events, timeoutMs, ref, callback));
}

napi_value stop(napi_env env, napi_callback_info info) {
  return int32Value(env, closureState<PollerHandle>(env, info)->poller->stop());
}

napi_value close(napi_env env, napi_callback_info info) {
  return int32Value(env, closureState<PollerHandle>(env, info)->poller->close());
}

Napi::Value createPoller(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "createPoller");
  const int fd = check.descriptor(info[0]);
  if (check.failed()) return {};
  auto poller = std::make_shared<Poller>();
  const int result = poller->open(env, fd);
  if (result != 0) return Napi::Number::New(env, result);
  const auto handle = std::make_shared<PollerHandle>(std::move(poller));
  const napi_property_descriptor properties[] = {
      readOnly("start", makeClosure(env, "start", start, handle)),
      readOnly("take", makeClosure(env, "take", take, handle)),
      readOnly("waiting", makeClosure(env, "waiting", waiting, handle)),
      readOnly("stop", makeClosure(env, "stop", stop, handle)),
      readOnly("close", makeClosure(env, "close", close, handle)),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

Napi::Value pollBlocking(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "pollBlocking");
  const int fd = check.descriptor(info[0]);
  const auto events = static_cast<short>(check.integer(info[1], "events", 0, INT16_MAX));
  const int64_t timeoutMs = check.integer(info[2], "timeoutMs", 0, longestBlockingWaitMs);
  if (check.failed()) return {};
  return Napi::Number::New(info.Env(), pollUntil(fd, events, Deadline(timeoutMs)));
}

}  // namespace

void addPoller(Napi::Env env, Napi::Object exports) {
  addFunction<pollBlocking>(env, exports, "pollBlocking");
  addFunction<createPoller>(env, exports, "createPoller");
}

}  // namespace vfio_native
