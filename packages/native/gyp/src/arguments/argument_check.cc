#include "arguments/argument_check.h"

#include <cmath>

namespace vfio_native {
namespace {

constexpr double maxSafeInteger = 9007199254740991.0;

std::string range(int64_t minimum, int64_t maximum) {
  return "an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum);
}

// The text of a value whose conversion runs no code of the caller. The conversion fails in a worker that is being
// terminated.
std::string primitiveText(Napi::Value value) {
  napi_value text = nullptr;
  if (napi_coerce_to_string(value.Env(), value, &text) != napi_ok) return "a primitive value";
  return Napi::String(value.Env(), text).Utf8Value();
}

std::string describe(Napi::Value value) {
  constexpr size_t longest = 80;
  switch (value.Type()) {
    case napi_undefined:
    case napi_null:
    case napi_boolean:
    case napi_number:
      return primitiveText(value);
    case napi_bigint:
      return primitiveText(value) + "n";
    case napi_string: {
      const std::string text = value.As<Napi::String>().Utf8Value();
      return text.size() > longest ? "\"" + text.substr(0, longest) + "…\"" : "\"" + text + "\"";
    }
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    default:
      return value.IsArray() ? "an array" : "an object";
  }
}

}  // namespace

std::string ArgumentCheck::message(Napi::Value value, const char* name, const std::string& allowed) const {
  return std::string(function_) + ": " + name + " is " + describe(value) + "; allowed is " + allowed;
}

void ArgumentCheck::wrongType(Napi::Value value, const char* name, const std::string& allowed) {
  if (failed_) return;
  failed_ = true;
  if (env_.IsExceptionPending()) return;
  Napi::TypeError::New(env_, message(value, name, allowed)).ThrowAsJavaScriptException();
}

void ArgumentCheck::outOfRange(Napi::Value value, const char* name, const std::string& allowed) {
  if (failed_) return;
  failed_ = true;
  if (env_.IsExceptionPending()) return;
  Napi::RangeError::New(env_, message(value, name, allowed)).ThrowAsJavaScriptException();
}

int64_t ArgumentCheck::integer(Napi::Value value, const char* name, int64_t minimum, int64_t maximum) {
  double number = 0;
  if (napi_get_value_double(env_, value, &number) != napi_ok) {
    wrongType(value, name, range(minimum, maximum));
    return minimum;
  }
  // A double beyond 2^53 may stand for another integer than the caller wrote.
  const bool exact = std::fabs(number) <= maxSafeInteger && std::trunc(number) == number;
  if (!exact || static_cast<int64_t>(number) < minimum || static_cast<int64_t>(number) > maximum) {
    outOfRange(value, name, range(minimum, maximum));
    return minimum;
  }
  return static_cast<int64_t>(number);
}

int64_t ArgumentCheck::integerOr(Napi::Value value, const char* name, int64_t fallback, int64_t minimum,
                                 int64_t maximum) {
  return value.IsUndefined() ? fallback : integer(value, name, minimum, maximum);
}

int ArgumentCheck::descriptor(Napi::Value value, const char* name) {
  return static_cast<int>(integer(value, name, INT32_MIN, INT32_MAX));
}

uint32_t ArgumentCheck::bits32(Napi::Value value, const char* name) {
  return static_cast<uint32_t>(integer(value, name, INT32_MIN, UINT32_MAX));
}

uint64_t ArgumentCheck::bits64(Napi::Value value, const char* name) {
  if (!value.IsBigInt()) {
    return static_cast<uint64_t>(integer(value, name, -static_cast<int64_t>(maxSafeInteger), maxSafeInteger));
  }
  bool lossless = false;
  const auto bigint = value.As<Napi::BigInt>();
  const uint64_t plain = bigint.Uint64Value(&lossless);
  if (lossless) return plain;
  const int64_t negative = bigint.Int64Value(&lossless);
  if (!lossless) outOfRange(value, name, "an integer from -2^63 to 2^64 - 1");
  return static_cast<uint64_t>(negative);
}

int64_t ArgumentCheck::fileOffset(Napi::Value value, const char* name) {
  if (!value.IsBigInt()) return integer(value, name, 0, INT64_MAX);
  bool lossless = false;
  const int64_t offset = value.As<Napi::BigInt>().Int64Value(&lossless);
  if (!lossless || offset < 0) {
    outOfRange(value, name, range(0, INT64_MAX));
    return 0;
  }
  return offset;
}

bool ArgumentCheck::boolean(Napi::Value value, const char* name) {
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  wrongType(value, name, "true or false");
  return false;
}

std::string ArgumentCheck::text(Napi::Value value, const char* name) {
  if (!value.IsString()) {
    wrongType(value, name, "a string");
    return {};
  }
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) outOfRange(value, name, "a string without NUL characters");
  return text;
}

Bytes ArgumentCheck::bytes(Napi::Value value, const char* name) {
  Bytes bytes;
  switch (viewedBytes(env_, value, &bytes)) {
    case ViewStatus::viewed:
      break;
    case ViewStatus::detached:
      failed_ = failed_ || env_.IsExceptionPending();
      if (!failed_) {
        failed_ = true;
        const std::string text = std::string(function_) + ": " + name + " is a view of a detached ArrayBuffer";
        Napi::TypeError::New(env_, text + "; allowed is a view of memory that is still there")
            .ThrowAsJavaScriptException();
      }
      break;
    case ViewStatus::notAView:
      wrongType(value, name, "a Uint8Array or another view of an ArrayBuffer");
      break;
  }
  return bytes;
}

napi_value ArgumentCheck::function(Napi::Value value, const char* name) {
  if (!value.IsFunction()) wrongType(value, name, "a function");
  return value;
}

std::vector<Napi::Value> ArgumentCheck::elements(Napi::Value value, const char* name, size_t maximum) {
  if (!value.IsArray()) {
    wrongType(value, name, "an array");
    return {};
  }
  const auto array = value.As<Napi::Array>();
  const uint32_t length = array.Length();
  if (length > maximum) {
    outOfRange(Napi::Number::New(env_, length), (std::string("the length of ") + name).c_str(),
               "at most " + std::to_string(maximum));
    return {};
  }
  std::vector<Napi::Value> elements;
  elements.reserve(length);
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env_, array, index, &element) != napi_ok) {
      failed_ = true;
      return {};
    }
    elements.emplace_back(env_, element);
  }
  return elements;
}

Napi::Value ArgumentCheck::property(const Napi::Object& object, const char* name) {
  napi_value value = nullptr;
  if (napi_get_named_property(env_, object, name, &value) == napi_ok) return Napi::Value(env_, value);
  failed_ = true;
  return env_.Undefined();
}

}  // namespace vfio_native
