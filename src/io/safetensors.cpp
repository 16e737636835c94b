#include "io/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.hpp"
#include "base/error.hpp"
#include "io/cursor.hpp"
#include "io/float_types.hpp"
#include "io/safetensors_header.hpp"

namespace loglog::io {
namespace {

constexpr std::uint64_t kMostHeaderBytes = std::uint64_t{16} << 20;  // some 150,000 tensors
constexpr std::size_t kDataAlignment = 64;                           // of what is written

struct DtypeRow {
  std::string_view name;
  std::uint64_t bytes;  // per element
  Dtype dtype;
};
constexpr DtypeRow kDtypes[] = {
    {"F32", 4, Dtype::f32},    {"F16", 2, Dtype::f16},       {"BF16", 2, Dtype::bf16},
    {"F64", 8, Dtype::other},  {"I64", 8, Dtype::i64},       {"U64", 8, Dtype::other},
    {"I32", 4, Dtype::i32},    {"U32", 4, Dtype::other},     {"I16", 2, Dtype::other},
    {"U16", 2, Dtype::other},  {"I8", 1, Dtype::i8},         {"U8", 1, Dtype::u8},
    {"BOOL", 1, Dtype::other}, {"F8_E4M3", 1, Dtype::other}, {"F8_E5M2", 1, Dtype::other},
};

const DtypeRow* find_dtype(std::string_view name) {
  const auto* found = std::ranges::find(kDtypes, name, &DtypeRow::name);
  return found == std::end(kDtypes) ? nullptr : found;
}

[[noreturn]] void reject(const Path& path, const TensorEntry& entry, const std::string& what) {
  throw InputError(fmt::format("'{}': tensor '{}' {}", path.native(), entry.name, what));
}

// Sets the type, and checks that the offsets have the size that type and shape ask for.
void check_size_of(TensorEntry& entry, const Path& path, std::uint64_t data_bytes) {
  const DtypeRow* row = find_dtype(entry.dtype_name);
  if (row == nullptr)
    reject(path, entry, fmt::format("is of type '{}', which the format does not know", entry.dtype_name));
  entry.dtype = row->dtype;
  std::uint64_t bytes = row->bytes;
  for (const std::uint64_t n : entry.shape) {
    if (!multiply_checked(bytes, n, bytes))
      reject(path, entry, fmt::format("has a shape {} of more than 2^64 bytes", entry.shape_text()));
  }
  if (entry.begin > entry.end || entry.end > data_bytes) {
    reject(path, entry,
           fmt::format("claims bytes {} to {} of the {} that follow the header", entry.begin, entry.end,
                       data_bytes));
  }
  if (entry.end - entry.begin != bytes) {
    reject(path, entry,
           fmt::format("has {} bytes, but {} {} takes {}", entry.end - entry.begin, entry.dtype_name,
                       entry.shape_text(), bytes));
  }
}

// In the order of the data each tensor must begin where the one before it has ended.
void check_coverage(std::span<const TensorEntry> tensors, const Path& path, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const TensorEntry& entry : tensors) {
    if (entry.begin != end) {
      reject(path, entry,
             fmt::format("begins at byte {} of the data, which {} the tensor before it that ends at {}",
                         entry.begin, entry.begin < end ? "overlaps" : "leaves a gap behind", end));
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    throw InputError(fmt::format("'{}': its tensors end at byte {} of the data, the file has {}",
                                 path.native(), end, data_bytes));
  }
}

}  // namespace

std::uint64_t TensorEntry::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : shape) count *= n;
  return count;
}

std::string TensorEntry::shape_text() const {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

SafetensorsFile::SafetensorsFile(const Path& path) : file_(map_input(path)) {
  Cursor cursor(file_.bytes(), path.native());
  const auto length = cursor.number<std::uint64_t>("the length of the header");
  if (length > cursor.remaining()) {
    cursor.reject(
        "the length of the header",
        fmt::format("{} bytes are longer than the file, which has {} more", length, cursor.remaining()));
  }
  if (length > kMostHeaderBytes) {
    cursor.reject("the length of the header",
                  fmt::format("{} bytes, at most {} are read", length, kMostHeaderBytes));
  }
  const std::span<const std::byte> text = cursor.take(length, "the header");
  if (text.empty() || text[0] != std::byte{'{'}) cursor.reject("the header", "it must begin with '{'");
  SafetensorsHeader header = parse_safetensors_header(
      {reinterpret_cast<const char*>(text.data()), text.size()}, sizeof(length), path.native());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  data_offset_ = cursor.offset();
  for (TensorEntry& entry : tensors_) check_size_of(entry, path, cursor.remaining());
  std::ranges::sort(tensors_, {}, [](const TensorEntry& t) { return std::pair(t.begin, t.end); });
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) reject(path, tensors_[i], "is there twice");
  }
  check_coverage(tensors_, path, cursor.remaining());
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<float> out) const {
  LOGLOG_CHECK(out.size() == entry.elements(), "{} has {} elements, not {}", entry.name, entry.elements(),
               out.size());
  read_part(entry, 0, out);
}

void SafetensorsFile::read_part(const TensorEntry& entry, std::uint64_t first, std::span<float> out) const {
  LOGLOG_CHECK(first <= entry.elements() && out.size() <= entry.elements() - first,
               "{} elements from {} on of {}, which has {}", out.size(), first, entry.name, entry.elements());
  if (!is_float(entry.dtype))
    reject(path(), entry, fmt::format("is of type {}; F32, F16 and BF16 are read", entry.dtype_name));
  const std::size_t size = io::bytes_of(entry.dtype);
  in_pieces(bytes_of(entry).subspan(first * size, out.size() * size), [&](std::size_t at, auto piece) {
    widen(entry.dtype, piece, out.subspan(at / size, piece.size() / size));
  });
}

void SafetensorsFile::read_bytes(const TensorEntry& entry, std::span<std::byte> out) const {
  const std::span<const std::byte> bytes = bytes_of(entry);
  LOGLOG_CHECK(out.size() == bytes.size(), "{} has {} bytes, not {}", entry.name, bytes.size(), out.size());
  in_pieces(bytes, [&](std::size_t at, auto piece) { std::ranges::copy(piece, out.subspan(at).begin()); });
}

// So that of what is read no more than a piece counts as memory of the process beside what is made of it.
void SafetensorsFile::in_pieces(
    std::span<const std::byte> bytes,
    const std::function<void(std::size_t at, std::span<const std::byte> piece)>& take) const {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const std::span<const std::byte> piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
    take(at, piece);
    file_.give_back(piece);
  }
  file_.give_back(bytes);  // pages on the edge of two pieces
}

std::span<const std::byte> SafetensorsFile::bytes_of(const TensorEntry& entry) const {
  file_.check_size();
  return file_.bytes().subspan(data_offset_ + entry.begin, entry.end - entry.begin);
}

std::vector<const TensorEntry*> find_tensors(const SafetensorsFile& file, std::span<const TensorShape> wanted,
                                             Others others) {
  std::vector<const TensorEntry*> found;
  std::set<std::string_view> names;
  for (const TensorShape& tensor : wanted) {
    const TensorEntry* entry = file.find(tensor.name);
    if (entry == nullptr)
      throw InputError(fmt::format("'{}': tensor '{}' is missing", file.path().native(), tensor.name));
    if (entry->shape != tensor.shape)
      reject(file.path(), *entry,
             fmt::format("is {}, the model has [{}]", entry->shape_text(), fmt::join(tensor.shape, ",")));
    names.insert(entry->name);
    found.push_back(entry);
  }
  if (others == Others::passed_over) return found;
  for (const TensorEntry& entry : file.tensors())
    if (!names.contains(entry.name)) reject(file.path(), entry, "is none of this model");
  return found;
}

std::uint64_t TensorValues::elements() const {
  std::uint64_t count = 1;
  for (const std::uint64_t n : shape) count *= n;
  return count;
}

namespace {

std::string header_text(std::span<const TensorValues> tensors, const Metadata& metadata, Dtype dtype) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  std::uint64_t offset = 0;
  for (const TensorValues& t : tensors) {
    const std::uint64_t count = t.elements();
    LOGLOG_CHECK(t.fill || t.make || count == t.values.size(), "{} has {} values, its shape {}", t.name,
                 t.values.size(), count);
    const DtypeRow& row = *std::ranges::find(kDtypes, t.make ? t.dtype : dtype, &DtypeRow::dtype);
    LOGLOG_CHECK(!header.contains(t.name), "two tensors are called {}", t.name);
    const std::uint64_t end = offset + count * row.bytes;
    header[t.name] = {{"dtype", row.name}, {"shape", t.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  const std::size_t past = (sizeof(std::uint64_t) + text.size()) % kDataAlignment;
  text.append((kDataAlignment - past) % kDataAlignment, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::function<void(std::span<const std::byte>)>& put,
                       std::span<const TensorValues> tensors, const Metadata& metadata, Dtype dtype) {
  LOGLOG_CHECK(dtype == Dtype::f32 || dtype == Dtype::bf16, "type {} is not written",
               static_cast<int>(dtype));
  const std::string header = header_text(tensors, metadata, dtype);
  const std::uint64_t length = header.size();
  put(std::as_bytes(std::span(&length, 1)));
  put(std::as_bytes(std::span(header)));
  for (const TensorValues& t : tensors) {  // the room of one is given back before the next needs its own
    if (t.make) {
      std::vector<std::byte> made(t.elements() * io::bytes_of(t.dtype));
      t.make(made);
      put(made);
    } else if (t.fill) {
      std::vector<float> filled(t.elements());
      t.fill(filled);
      put_floats(dtype, filled, put);
    } else {
      put_floats(dtype, t.values, put);
    }
  }
}

void write_safetensors(FileSystem& fs, const Path& path, std::span<const TensorValues> tensors,
                       const Metadata& metadata, Dtype dtype) {
  write_atomically(fs, path, [&](WritableFile& file) {
    write_safetensors([&](std::span<const std::byte> piece) { file.append(piece); }, tensors, metadata,
                      dtype);
  });
}

}  // namespace loglog::io
