#include "data/text_reader.hpp"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kInputChunk = std::size_t{1} << 20;  // packed bytes handed to a library at once

class PlainReader final : public TextReader {
 public:
  explicit PlainReader(MappedFile file) : file_(std::move(file)) {}
  std::size_t read(std::span<char> out) override {
    file_.check_size();
    const auto left = file_.bytes().subspan(at_);
    const std::size_t count = std::min(out.size(), left.size());
    if (count > 0) std::memcpy(out.data(), left.data(), count);
    at_ += count;
    return count;
  }

 private:
  MappedFile file_;
  std::size_t at_ = 0;
};

// What the three packed formats share: the mapped input, handed out in chunks, and the error messages.
class PackedReader : public TextReader {
 public:
  PackedReader(MappedFile file, const char* format) : file_(std::move(file)), format_(format) {}

 protected:
  std::span<const std::byte> next_input() {
    file_.check_size();
    const auto left = file_.bytes().subspan(at_);
    return left.first(std::min(left.size(), kInputChunk));
  }
  void consume(std::size_t bytes) noexcept { at_ += bytes; }
  bool at_end() const noexcept { return at_ == file_.bytes().size(); }
  [[noreturn]] void damaged(std::string_view why) const {
    throw InputError(fmt::format("'{}' is damaged: at byte {} of {} of the {} data: {}",
                                 file_.path().native(), at_, file_.bytes().size(), format_, why));
  }
  [[noreturn]] void truncated() const { damaged("it ends in the middle of a stream, the file is truncated"); }

 private:
  MappedFile file_;
  const char* format_;
  std::size_t at_ = 0;
};

class GzipReader final : public PackedReader {
 public:
  explicit GzipReader(MappedFile file) : PackedReader(std::move(file), "gzip") {
    if (inflateInit2(&stream_, 15 + 32) != Z_OK) throw std::bad_alloc();  // 32: expects a gzip header
  }
  ~GzipReader() override { inflateEnd(&stream_); }

  std::size_t read(std::span<char> out) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), kInputChunk));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      const auto input = next_input();
      if (between_members_ && input.empty()) return 0;
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
      stream_.avail_in = static_cast<uInt>(input.size());
      between_members_ = false;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      consume(input.size() - stream_.avail_in);
      if (status == Z_STREAM_END) {
        inflateReset(&stream_);
        between_members_ = true;
      } else if (status == Z_BUF_ERROR && at_end()) {
        truncated();
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        damaged(stream_.msg != nullptr ? stream_.msg : "not understood");
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool between_members_ = false;
};

class XzReader final : public PackedReader {
 public:
  explicit XzReader(MappedFile file) : PackedReader(std::move(file), "xz") {
    constexpr std::uint64_t kMemoryLimit = std::uint64_t{1} << 30;  // xz -9 needs 65 MiB
    if (lzma_stream_decoder(&stream_, kMemoryLimit, LZMA_CONCATENATED) != LZMA_OK) throw std::bad_alloc();
  }
  ~XzReader() override { lzma_end(&stream_); }

  std::size_t read(std::span<char> out) override {
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    while (stream_.avail_out == out.size() && !finished_) {
      const auto input = next_input();
      stream_.next_in = reinterpret_cast<const std::uint8_t*>(input.data());
      stream_.avail_in = input.size();
      const lzma_ret status = lzma_code(&stream_, input.empty() ? LZMA_FINISH : LZMA_RUN);
      consume(input.size() - stream_.avail_in);
      if (status == LZMA_STREAM_END) finished_ = true;
      if (status == LZMA_BUF_ERROR && at_end()) truncated();
      if (status == LZMA_MEMLIMIT_ERROR) damaged("it asks for more than 1 GiB of memory");
      if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) {
        damaged(status == LZMA_FORMAT_ERROR ? "not an xz stream" : "the data does not match its checksum");
      }
    }
    return out.size() - stream_.avail_out;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool finished_ = false;
};

class ZstdReader final : public PackedReader {
 public:
  explicit ZstdReader(MappedFile file)
      : PackedReader(std::move(file), "zstd"), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }

  std::size_t read(std::span<char> out) override {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    while (output.pos == 0) {
      const auto input = next_input();
      if (input.empty() && frame_left_ == 0) return 0;
      ZSTD_inBuffer packed{input.data(), input.size(), 0};
      frame_left_ = ZSTD_decompressStream(stream_.get(), &output, &packed);
      if (ZSTD_isError(frame_left_) != 0) damaged(ZSTD_getErrorName(frame_left_));
      consume(packed.pos);
      if (input.empty() && output.pos == 0) truncated();
    }
    return output.pos;
  }

 private:
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_;
  std::size_t frame_left_ = 0;  // 0 between frames, else a hint of how much is missing
};

template <std::size_t N>
bool starts_with(std::span<const std::byte> bytes, const std::array<unsigned char, N>& magic) {
  return bytes.size() >= N && std::memcmp(bytes.data(), magic.data(), N) == 0;
}

// The usual ending of what the first bytes say, "" for plain text.
std::string_view packing_of(std::span<const std::byte> bytes) {
  if (starts_with(bytes, std::array<unsigned char, 2>{0x1f, 0x8b})) return ".gz";
  if (starts_with(bytes, std::array<unsigned char, 6>{0xfd, '7', 'z', 'X', 'Z', 0x00})) return ".xz";
  if (starts_with(bytes, std::array<unsigned char, 4>{0x28, 0xb5, 0x2f, 0xfd})) return ".zst";
  return "";
}

// A packed file that is not recognised would become tokens as it is: noise that nobody notices.
void require_honest_name(const Path& path, std::string_view packing) {
  const std::string ending = path.extension().native();
  if (ending == ".bz2") {
    throw InputError(
        fmt::format("'{}': bzip2 is not read; unpack it, or pack it as .gz, .xz or .zst", path.native()));
  }
  if ((ending != ".gz" && ending != ".xz" && ending != ".zst") || ending == packing) return;
  throw InputError(
      fmt::format("'{}' is called {}, but does not begin like that (it looks like {}): it is damaged, or "
                  "has the wrong name",
                  path.native(), ending, packing.empty() ? "plain text" : packing));
}

}  // namespace

std::unique_ptr<TextReader> open_text(const Path& path) {
  MappedFile file = map_input(path);
  const std::string_view packing = packing_of(file.bytes());
  require_honest_name(path, packing);
  if (packing == ".gz") return std::make_unique<GzipReader>(std::move(file));
  if (packing == ".xz") return std::make_unique<XzReader>(std::move(file));
  if (packing == ".zst") return std::make_unique<ZstdReader>(std::move(file));
  return std::make_unique<PlainReader>(std::move(file));
}

std::string source_name(const Path& path) {
  Path name = path.filename();
  for (const char* packing : {".xz", ".gz", ".zst"}) {
    if (name.extension() == packing) name = name.stem();
  }
  return name.stem().string();
}

}  // namespace loglog::data
