#include "data/token_writer.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/json_text.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

void put(std::vector<std::byte>& out, std::uint32_t value, std::uint32_t bytes) {
  const std::size_t at = out.size();
  out.resize(at + bytes);
  std::memcpy(out.data() + at, &value, bytes);  // little-endian: the low bytes come first
}

std::uint32_t get(const std::byte* from, std::uint32_t bytes) noexcept {
  std::uint32_t value = 0;
  std::memcpy(&value, from, bytes);
  return value;
}

nlohmann::json sources_as_json(const std::vector<Source>& sources) {
  auto list = nlohmann::json::array();
  for (const Source& s : sources) {
    if (s.end > s.begin) {
      list.push_back({{"name", s.name}, {"begin", s.begin}, {"end", s.end}, {"documents", s.documents}});
    }
  }
  return list;
}

}  // namespace

void check_target(FileSystem& fs, const Path& path) {
  if (is_stream(path))
    throw UsageError("'" + path.native() +
                     "' is a pipe or a device: a token file is mapped, write it to disk");
  check_writable(fs, path);
}

TokenWriter::TokenWriter(FileSystem& fs, Path path, std::uint32_t spool_bytes,
                         std::function<bool()> stop_requested)
    : fs_(fs),
      path_(std::move(path)),
      spool_path_(temporary_beside(path_).native() + ".spool"),
      spool_bytes_(spool_bytes),
      stop_requested_(std::move(stop_requested)),
      spool_((check_target(fs, path_), fs.create(spool_path_))) {
  buffer_.reserve(kBufferBytes);
}

TokenWriter::~TokenWriter() {
  spool_.reset();
  try {
    fs_.remove(spool_path_);
  } catch (const IoError&) {  // a left-over spool harms nobody, and destructors stay silent
  }
}

void TokenWriter::begin_source(const std::string& text) {
  const std::string name = as_utf8(text);  // as the header will have it: two names may not become one there
  for (const Source& source : sources_) {
    if (source.name == name) {
      throw UsageError(fmt::format("two sources are called '{}': name one with --source NAME=FILE", name));
    }
  }
  sources_.push_back({name, count_, count_, 0});
}

void TokenWriter::append(std::span<const Token> tokens, Counts counts) {
  LOGLOG_CHECK(!sources_.empty(), "append() before begin_source()");
  for (const Token token : tokens) {
    put(buffer_, static_cast<std::uint32_t>(token), spool_bytes_);
    if (buffer_.size() >= kBufferBytes) flush();
  }
  append_mask(tokens.size(), counts);
  count_ += tokens.size();
  sources_.back().end = count_;
}

void TokenWriter::append_mask(std::uint64_t tokens, Counts counts) {
  if (mask_.empty() && (counts == Counts::yes || tokens == 0)) return;
  const auto set = [&](std::uint64_t i) { mask_[i / 8] |= std::byte{1} << i % 8; };
  if (mask_.empty()) {  // all before these count
    mask_.resize((count_ + 7) / 8);
    for (std::uint64_t i = 0; i < count_; ++i) set(i);
  }
  mask_.resize((count_ + tokens + 7) / 8);
  if (counts == Counts::no) return;
  for (std::uint64_t i = count_; i < count_ + tokens; ++i) set(i);
}

void TokenWriter::flush() {
  if (stop_requested_()) {
    throw Error(Exit::checkpointed, "stopped by a signal before '" + path_.native() + "' was written");
  }
  spool_->append(buffer_);
  buffer_.clear();
}

// One pass over the spool and the mask; with `checksum` it only sums, else it only writes.
void TokenWriter::copy_tokens(WritableFile& file, std::uint32_t token_bytes, std::span<const Token> remap,
                              std::uint64_t* checksum) const {
  const MappedFile spool(spool_path_);
  const std::byte* from = spool.bytes().data();
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<std::byte> out;
  out.reserve(kBufferBytes + sizeof(Token));
  for (std::uint64_t i = 0; i < count_; ++i) {
    std::uint32_t value = get(from + i * spool_bytes_, spool_bytes_);
    if (!remap.empty()) value = static_cast<std::uint32_t>(remap[value]);
    put(out, value, token_bytes);
    if (out.size() < kBufferBytes && i + 1 < count_) continue;
    if (checksum != nullptr) {
      XXH3_64bits_update(state.get(), out.data(), out.size());
    } else {
      file.append(out);
    }
    out.clear();
  }
  if (checksum != nullptr) {
    XXH3_64bits_update(state.get(), mask_.data(), mask_.size());
    *checksum = XXH3_64bits_digest(state.get());
  } else {
    file.append(mask_);
  }
}

void TokenWriter::finish(std::uint64_t vocab_size, nlohmann::json meta, std::span<const Token> remap,
                         const std::function<void(const TokenFile&)>& accept) {
  flush();
  spool_->close();
  if (count_ == 0)
    throw InputError("the input holds no tokens, nothing to write to '" + path_.native() + "'");
  LOGLOG_CHECK(vocab_size > 0 && vocab_size <= kMaxVocabulary, "vocabulary of {}", vocab_size);
  meta["sources"] = sources_as_json(sources_);
  const std::string text = json_text(meta, 1);

  TokenFileHeader header{};
  std::memcpy(header.magic, kTokenFileMagic, sizeof header.magic);
  header.version = mask_.empty() ? kTokenFileVersion : kMaskedTokenFileVersion;
  header.token_bytes = token_bytes_for(vocab_size);
  header.vocab_size = vocab_size;
  header.token_count = count_;
  header.meta_bytes = text.size();
  header.data_offset = (sizeof header + text.size() + 63) / 64 * 64;
  const auto write = [&](WritableFile& file) {
    copy_tokens(file, header.token_bytes, remap, &header.data_checksum);
    std::vector<std::byte> front(header.data_offset);
    std::memcpy(front.data(), &header, sizeof header);
    std::memcpy(front.data() + sizeof header, text.data(), text.size());
    header.header_checksum = XXH3_64bits(front.data(), front.size());
    std::memcpy(front.data(), &header, sizeof header);
    file.append(front);
    copy_tokens(file, header.token_bytes, remap, nullptr);
  };
  write_atomically(fs_, path_, write, [&](const Path& whole) {
    if (accept) accept(TokenFile::open(whole));
  });
}

}  // namespace loglog::data
