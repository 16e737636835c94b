#include "io/gguf_writer.hpp"

#include <bit>
#include <set>

#include "base/check.hpp"
#include "io/float_types.hpp"

namespace loglog::io {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;  // the format's own, where no key says otherwise

// Numbers of the format.
enum ValueType : std::uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };
enum TensorType : std::uint32_t { kTensorF32 = 0, kTensorF16 = 1 };

template <class Number>
void append(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, std::string_view text) {
  append<std::uint64_t>(out, text.size());
  out += text;
}

std::uint64_t padding_behind(std::uint64_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

}  // namespace

std::uint64_t GgufWriter::Tensor::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : shape) count *= n;
  return count;
}

void GgufWriter::begin(std::string_view key, std::uint32_t type) {
  append_text(values_, key);
  append(values_, type);
  ++keys_;
}

void GgufWriter::add(std::string_view key, std::string_view text) {
  begin(key, kString);
  append_text(values_, text);
}

void GgufWriter::add(std::string_view key, std::uint32_t value) {
  begin(key, kUint32);
  append(values_, value);
}

void GgufWriter::add(std::string_view key, float value) {
  begin(key, kFloat32);
  append(values_, value);
}

void GgufWriter::add(std::string_view key, bool value) {
  begin(key, kBool);
  append(values_, static_cast<std::uint8_t>(value));
}

void GgufWriter::add(std::string_view key, const std::vector<std::string>& texts) {
  begin(key, kArray);
  append<std::uint32_t>(values_, kString);
  append<std::uint64_t>(values_, texts.size());
  for (const std::string& text : texts) append_text(values_, text);
}

void GgufWriter::add(std::string_view key, const std::vector<std::int32_t>& values) {
  begin(key, kArray);
  append<std::uint32_t>(values_, kInt32);
  append<std::uint64_t>(values_, values.size());
  for (const std::int32_t value : values) append(values_, value);
}

void GgufWriter::add_tensor(std::string name, std::vector<std::uint64_t> shape, Dtype dtype,
                            std::function<void(std::span<float>)> fill) {
  LOGLOG_CHECK(dtype == Dtype::f32 || dtype == Dtype::f16, "{}: type {}", name, static_cast<int>(dtype));
  tensors_.push_back({std::move(name), std::move(shape), dtype, std::move(fill)});
}

// All before the data, which begins on a boundary.
std::string GgufWriter::head() const {
  std::string out = "GGUF";
  append(out, kVersion);
  append<std::uint64_t>(out, tensors_.size());
  append(out, keys_);
  out += values_;
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const Tensor& t : tensors_) {
    LOGLOG_CHECK(names.insert(t.name).second, "two tensors are called {}", t.name);
    append_text(out, t.name);
    append(out, static_cast<std::uint32_t>(t.shape.size()));
    // The dimension whose elements are neighbours comes first.
    for (std::size_t i = t.shape.size(); i-- > 0;) append(out, t.shape[i]);
    append<std::uint32_t>(out, t.dtype == Dtype::f32 ? kTensorF32 : kTensorF16);
    append(out, offset);
    offset += t.bytes() + padding_behind(t.bytes());
  }
  out.append(padding_behind(out.size()), '\0');
  return out;
}

void GgufWriter::write(FileSystem& fs, const Path& path) const {
  const std::string first = head();
  write_atomically(fs, path, [&](WritableFile& file) {
    const auto put = [&](std::span<const std::byte> bytes) { file.append(bytes); };
    put(std::as_bytes(std::span(first)));
    constexpr std::byte kZeros[kAlignment] = {};
    std::vector<float> values;
    for (const Tensor& t : tensors_) {
      values.resize(t.elements());
      t.fill(values);
      put_floats(t.dtype, values, put);
      put(std::span(kZeros).first(padding_behind(t.bytes())));
    }
  });
}

}  // namespace loglog::io
