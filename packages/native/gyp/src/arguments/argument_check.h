// Reads the arguments of one call and throws one clear JavaScript error for the first wrong argument.
//
// After a failure every further read gives a harmless default, so a function reads all of its arguments and then asks
// once whether one of them failed. It must read values that run code of the caller (properties, array elements) before
// any bytes, because that code could detach a buffer.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "arguments/bytes.h"

namespace vfio_native {

class ArgumentCheck {
 public:
  ArgumentCheck(Napi::Env env, const char* function) : env_(env), function_(function) {}

  bool failed() const { return failed_; }

  // A number without a fraction.
  int64_t integer(Napi::Value value, const char* name, int64_t minimum, int64_t maximum);
  int64_t integerOr(Napi::Value value, const char* name, int64_t fallback, int64_t minimum, int64_t maximum);
  // A descriptor. The kernel refuses one that is not open.
  int descriptor(Napi::Value value, const char* name = "fd");
  // 32 bits. A negative number stands for its two's complement, which JavaScript's bit operators produce.
  uint32_t bits32(Napi::Value value, const char* name);
  // 64 bits as a bigint, or as a number that is an integer below 2^53 in magnitude.
  uint64_t bits64(Napi::Value value, const char* name);
  // A number or bigint from 0 to 2^63 - 1.
  int64_t fileOffset(Napi::Value value, const char* name);
  bool boolean(Napi::Value value, const char* name);
  // Text without NUL, for a path or name.
  std::string text(Napi::Value value, const char* name);
  Bytes bytes(Napi::Value value, const char* name);
  napi_value function(Napi::Value value, const char* name);
  // The elements of an array. The caller still has to check each.
  std::vector<Napi::Value> elements(Napi::Value value, const char* name, size_t maximum);

  // A property; undefined when reading it threw.
  Napi::Value property(const Napi::Object& object, const char* name);

  void wrongType(Napi::Value value, const char* name, const std::string& allowed);
  void outOfRange(Napi::Value value, const char* name, const std::string& allowed);

 private:
  std::string message(Napi::Value value, const char* name, const std::string& allowed) const;

  Napi::Env env_;
  const char* function_;
  bool failed_ = false;
};

}  // namespace vfio_native
