// mapIo: memory that only width-exact accessors reach.
//
// The accessors are raw Node-API functions with the state in the callback's data. They cost a quarter of a method on a
// wrapped object.
#include <sys/mman.h>

#include <cerrno>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon.h"
#include "arguments/bytes.h"
#include "arguments/shared_closure.h"
#include "calls/cpu_features.h"
#include "memory/map_options.h"
#include "memory/mapping.h"
#include "registers/fault_recovery.h"
#include "registers/register_access.h"

namespace vfio_native {
namespace {

// Memory of an ArrayBuffer that carries the arguments and the value of an access. Reading an argument and making a
// number would cost as much as the rest of the call.
struct Slot {
  uint32_t mapping;
  uint32_t offset;
  // The value of an access to 64 bits, or of one to fewer. Both sides take the same one: a CPU is slow to read more
  // bytes than it has just written.
  union {
    uint64_t wide;
    uint32_t narrow;
  };
};

template <size_t width>
auto& slotValue(Slot& slot) {
  if constexpr (width == 8) {
    return slot.wide;
  } else {
    return slot.narrow;
  }
}

struct MappedIo;

// What an access needs of a mapping, side by side: a pointer less to follow.
struct Window {
  uint8_t* base = nullptr;
  // Bytes from the start that may be read, and written: of all the mapping, or none.
  size_t readable = 0;
  size_t writable = 0;
  const MappedIo* io = nullptr;
};

// The mappings of an environment, by the numbers that stand in its slot. All of them share two functions for each
// width, because a call in JavaScript that meets one function is much faster than one that meets several.
struct IoTable {
  // Lives as long as the ArrayBuffer, which the functions that use it keep alive.
  Slot* slot = nullptr;
  std::vector<Window> windows;
  std::vector<uint32_t> unused;

  uint32_t add(const MappedIo* io);
  void remove(uint32_t number);
};

struct MappedIo : std::enable_shared_from_this<MappedIo> {
  explicit MappedIo(std::shared_ptr<IoTable> owner) : table(std::move(owner)), number(table->add(this)) {}
  MappedIo(const MappedIo&) = delete;
  ~MappedIo() { table->remove(number); }

  std::shared_ptr<IoTable> table;
  uint32_t number;
  Mapping mapping;

  Window& window() const { return table->windows[number]; }
};

uint32_t IoTable::add(const MappedIo* io) {
  if (unused.empty()) {
    windows.push_back({nullptr, 0, 0, io});
    return static_cast<uint32_t>(windows.size() - 1);
  }
  const uint32_t number = unused.back();
  unused.pop_back();
  windows[number] = {nullptr, 0, 0, io};
  return number;
}

void IoTable::remove(uint32_t number) {
  windows[number] = {};
  unused.push_back(number);
}

// Finds where an access goes. 0; -EBADF after unmap; -EINVAL for an offset that lies outside, or is not a multiple of
// the width.
int locate(const MappedIo& io, size_t offset, size_t width, uint8_t** address) {
  if (io.mapping.base() == nullptr) return -EBADF;
  if (offset >= io.mapping.length() || offset % width != 0) return -EINVAL;
  // A mapping is whole pages, so an aligned access that begins inside also ends inside.
  *address = io.mapping.base() + offset;
  return 0;
}

// Gives -EINVAL for an offset that is no integer, too.
int locate(napi_env env, const MappedIo& io, napi_value offsetValue, size_t width, uint8_t** address) {
  if (io.mapping.base() == nullptr) return -EBADF;
  double number = -1;
  napi_get_value_double(env, offsetValue, &number);
  // This is false for NaN, too.
  if (!(number >= 0 && number < static_cast<double>(io.mapping.length()))) return -EINVAL;
  const auto offset = static_cast<size_t>(number);
  if (static_cast<double>(offset) != number) return -EINVAL;
  return locate(io, offset, width, address);
}

template <Loaded (*load)(const void*), size_t width>
napi_value read(napi_env env, napi_callback_info info) {
  napi_value arguments[1];
  const auto* io = closureState<MappedIo>(env, info, arguments);
  uint8_t* address = nullptr;
  const int located = locate(env, *io, arguments[0], width, &address);
  if (located != 0) return int32Value(env, located);
  if (io->window().readable == 0) return int32Value(env, -EACCES);
  const Loaded loaded = load(address);
  if (loaded.error != 0) return int32Value(env, static_cast<int32_t>(loaded.error));
  napi_value result = nullptr;
  if constexpr (width == 8) {
    napi_create_bigint_uint64(env, loaded.value, &result);
  } else {
    napi_create_uint32(env, static_cast<uint32_t>(loaded.value), &result);
  }
  return result;
}

napi_value refuseValue(napi_env env, napi_value value, size_t width) {
  const std::string bits = std::to_string(width * 8);
  const std::string function = "write" + bits;
  ArgumentCheck check(env, function.c_str());
  const Napi::Value refused(env, value);
  const std::string allowed = std::string(width == 8 ? "a bigint" : "an integer") + " from -2^" +
                              std::to_string(width * 8 - 1) + " to 2^" + bits + " - 1";
  if (width == 8 ? refused.IsBigInt() : refused.IsNumber()) {
    check.outOfRange(refused, "value", allowed);
  } else {
    check.wrongType(refused, "value", allowed);
  }
  return nullptr;
}

// Negative values stand for their two's complement.
template <size_t width>
bool storedValue(napi_env env, napi_value value, uint64_t* stored) {
  if constexpr (width == 8) {
    bool lossless = false;
    if (napi_get_value_bigint_uint64(env, value, stored, &lossless) != napi_ok) return false;
    if (lossless) return true;
    int64_t negative = 0;
    napi_get_value_bigint_int64(env, value, &negative, &lossless);
    *stored = static_cast<uint64_t>(negative);
    return lossless;
  } else {
    constexpr double highest = static_cast<double>((uint64_t{1} << (width * 8)) - 1);
    constexpr double lowest = -static_cast<double>(uint64_t{1} << (width * 8 - 1));
    double number = NAN;
    if (napi_get_value_double(env, value, &number) != napi_ok) return false;
    if (!(number >= lowest && number <= highest)) return false;
    const auto integer = static_cast<int64_t>(number);
    *stored = static_cast<uint64_t>(integer);
    return static_cast<double>(integer) == number;
  }
}

template <int64_t (*store)(void*, uint64_t), size_t width>
napi_value write(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  const auto* io = closureState<MappedIo>(env, info, arguments);
  uint64_t value = 0;
  if (!storedValue<width>(env, arguments[1], &value)) return refuseValue(env, arguments[1], width);
  uint8_t* address = nullptr;
  const int located = locate(env, *io, arguments[0], width, &address);
  if (located != 0) return int32Value(env, located);
  if (io->window().writable == 0) return int32Value(env, -EACCES);
  return int32Value(env, static_cast<int32_t>(store(address, value)));
}

// Why the mapping that the slot names refuses an access. An access that goes wrong may be slow.
[[gnu::cold, gnu::noinline]] napi_value refusal(napi_env env, const IoTable& table, size_t width) {
  const uint32_t number = table.slot->mapping;
  const MappedIo* io = number < table.windows.size() ? table.windows[number].io : nullptr;
  if (io == nullptr) return int32Value(env, -EBADF);
  uint8_t* address = nullptr;
  const int located = locate(*io, table.slot->offset, width, &address);
  return int32Value(env, located == 0 ? -EACCES : located);
}

[[gnu::cold, gnu::noinline]] napi_value failure(napi_env env, int64_t error) {
  return int32Value(env, static_cast<int32_t>(error));
}

// Undefined, or -errno.
template <Loaded (*load)(const void*), size_t width>
napi_value slotLoad(napi_env env, napi_callback_info info) {
  const auto* table = closureState<IoTable>(env, info);
  Slot& slot = *table->slot;
  const size_t offset = slot.offset;
  if (slot.mapping >= table->windows.size()) return refusal(env, *table, width);
  const Window& window = table->windows[slot.mapping];
  if (offset >= window.readable || offset % width != 0) return refusal(env, *table, width);
  const Loaded loaded = load(window.base + offset);
  if (loaded.error != 0) return failure(env, loaded.error);
  // Narrow values fit: register_access.h
  slotValue<width>(slot) = loaded.value;
  return nullptr;
}

// Undefined, or -errno.
template <int64_t (*store)(void*, uint64_t), size_t width>
napi_value slotStore(napi_env env, napi_callback_info info) {
  const auto* table = closureState<IoTable>(env, info);
  Slot& slot = *table->slot;
  const size_t offset = slot.offset;
  if (slot.mapping >= table->windows.size()) return refusal(env, *table, width);
  const Window& window = table->windows[slot.mapping];
  if (offset >= window.writable || offset % width != 0) return refusal(env, *table, width);
  const int64_t error = store(window.base + offset, slotValue<width>(slot));
  return error == 0 ? nullptr : failure(env, error);
}

int64_t store64(uint8_t* address, const uint8_t* source) {
#if defined(__x86_64__)
  static const bool oneInstruction = cpuFeatures().movdir64b;
  if (oneInstruction) return vfio_native_movdir64b(address, source);
#endif
  return vfio_native_store64bytes(address, source);
}

napi_value store64Bytes(napi_env env, napi_callback_info info) {
  constexpr size_t width = 64;
  napi_value arguments[3];
  const auto* io = closureState<MappedIo>(env, info, arguments);
  ArgumentCheck check(env, "store64Bytes");
  const Bytes source = check.bytes(Napi::Value(env, arguments[1]), "source");
  const Napi::Value sourceOffset(env, arguments[2]);
  if (source.length < width) {
    check.outOfRange(Napi::Number::New(env, static_cast<double>(source.length)), "the length of source",
                     "at least 64 bytes");
  }
  const auto last = static_cast<int64_t>(source.length) - static_cast<int64_t>(width);
  const auto from = static_cast<size_t>(check.integerOr(sourceOffset, "sourceOffset", 0, 0, last));
  if (check.failed()) return nullptr;
  uint8_t* address = nullptr;
  const int located = locate(env, *io, arguments[0], width, &address);
  if (located != 0) return int32Value(env, located);
  if (io->window().writable == 0) return int32Value(env, -EACCES);
  return int32Value(env, static_cast<int32_t>(store64(address, source.data + from)));
}

napi_value unmap(napi_env env, napi_callback_info info) {
  auto* io = closureState<MappedIo>(env, info);
  io->window().readable = 0;
  io->window().writable = 0;
  return int32Value(env, io->mapping.unmap());
}

// The accessors that take any argument and say what is wrong with it. Few callers need them, and making a function
// costs more than mapping a BAR.
napi_value checkedAccessors(napi_env env, napi_callback_info info) {
  const auto io = closureState<MappedIo>(env, info)->shared_from_this();
  const auto accessor = [&](const char* name, napi_callback callback) {
    return readOnly(name, makeClosure(env, name, callback, io));
  };
  const napi_property_descriptor properties[] = {
      accessor("read8", read<vfio_native_load8, 1>),      accessor("read16", read<vfio_native_load16, 2>),
      accessor("read32", read<vfio_native_load32, 4>),    accessor("read64", read<vfio_native_load64, 8>),
      accessor("write8", write<vfio_native_store8, 1>),   accessor("write16", write<vfio_native_store16, 2>),
      accessor("write32", write<vfio_native_store32, 4>), accessor("write64", write<vfio_native_store64, 8>),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

Napi::Value mapIo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "mapIo");
  const MapRequest request = readMapOptions(check, info[0]);
  if (check.failed()) return {};

  void* table = nullptr;
  napi_get_instance_data(env, &table);
  if (table == nullptr) return Napi::Number::New(env, -ECANCELED);
  const auto io = std::make_shared<MappedIo>(*static_cast<std::shared_ptr<IoTable>*>(table));
  int result = installFaultRecovery();
  if (result == 0) result = io->mapping.map(request);
  if (result != 0) return Napi::Number::New(env, result);
  Window& window = io->window();
  window.base = io->mapping.base();
  window.readable = (request.prot & PROT_READ) != 0 ? io->mapping.length() : 0;
  window.writable = (request.prot & PROT_WRITE) != 0 ? io->mapping.length() : 0;

  const auto address = reinterpret_cast<uint64_t>(io->mapping.base());
  const auto accessor = [&](const char* name, napi_callback callback) {
    return readOnly(name, makeClosure(env, name, callback, io));
  };
  const napi_property_descriptor properties[] = {
      readOnly("address", Napi::BigInt::New(env, address)),
      readOnly("length", Napi::Number::New(env, static_cast<double>(io->mapping.length()))),
      accessor("checked", checkedAccessors),
      accessor("store64Bytes", store64Bytes),
      accessor("unmap", unmap),
      readOnly("number", Napi::Number::New(env, io->number)),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

}  // namespace

void addMappedIo(Napi::Env env, Napi::Object exports) {
  const auto table = std::make_shared<IoTable>();
  napi_value slot = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, sizeof(Slot), &data, &slot) != napi_ok) return;
  table->slot = static_cast<Slot*>(data);
  const auto release = [](napi_env, void* held, void*) { delete static_cast<std::shared_ptr<IoTable>*>(held); };
  napi_set_instance_data(env, new std::shared_ptr<IoTable>(table), release, nullptr);

  const napi_property_descriptor hold = {"slot", nullptr, nullptr, nullptr, nullptr, slot, napi_default, nullptr};
  const auto accessor = [&](const char* name, napi_callback callback) {
    napi_value function = makeClosure(env, name, callback, table);
    napi_define_properties(env, function, 1, &hold);
    return readOnly(name, function);
  };
  const napi_property_descriptor properties[] = {
      readOnly("ioSlot", slot),
      accessor("ioLoad8", slotLoad<vfio_native_load8, 1>),
      accessor("ioLoad16", slotLoad<vfio_native_load16, 2>),
      accessor("ioLoad32", slotLoad<vfio_native_load32, 4>),
      accessor("ioLoad64", slotLoad<vfio_native_load64, 8>),
      accessor("ioStore8", slotStore<vfio_native_store8, 1>),
      accessor("ioStore16", slotStore<vfio_native_store16, 2>),
      accessor("ioStore32", slotStore<vfio_native_store32, 4>),
      accessor("ioStore64", slotStore<vfio_native_store64, 8>),
  };
  napi_define_properties(env, exports, std::size(properties), properties);
  addFunction<mapIo>(env, exports, "mapIo");
}

}  // namespace vfio_native
