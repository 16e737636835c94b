#include "infer/kv_cache.hpp"

#include <cstring>

#include "base/check.hpp"

namespace loglog::infer {
namespace {

std::size_t placed_bytes(Gpt& gpt, const nn::MemoryShape& shape) {
  std::size_t bytes = 0;
  gpt.place_memory(shape, [&](std::string_view, void* now, Index rows, std::size_t row_bytes) {
    bytes += kernels::round_up_to_cache_line(static_cast<std::size_t>(rows) * row_bytes);
    return now;
  });
  return bytes;
}

}  // namespace

KvCache::KvCache(Gpt& gpt, Index slots, Index capacity, std::optional<KeyValueType> type)
    : capacity_(capacity),
      lengths_(static_cast<std::size_t>(slots)),
      // Of each layer's keys and values the first tokens alone: on huge pages, 96 MiB for one token of 24 layers.
      arena_(placed_bytes(gpt, {slots * capacity, type}), tensor::Pages::usual_on_use) {
  gpt.place_memory({slots * capacity, type}, [&](std::string_view, void*, Index rows, std::size_t row_bytes) {
    void* const place = arena_.take_bytes(static_cast<std::size_t>(rows) * row_bytes);
    memory_.push_back({static_cast<std::byte*>(place), row_bytes});
    return place;
  });
}

std::size_t KvCache::bytes(const model::ModelConfig& config, KeyValueType type, Index slots, Index capacity) {
  return Gpt::memory_bytes(config, type, slots * capacity);
}

// Sequence s lies in the rows [s * capacity, (s + 1) * capacity) of every layer's memory.
kernels::AttentionSequence KvCache::append(Index slot, Index row, Index count) {
  LOGLOG_CHECK(slot >= 0 && slot < slots(), "slot {} of {}", slot, slots());
  Index& length = lengths_[static_cast<std::size_t>(slot)];
  LOGLOG_CHECK(count > 0 && count <= capacity_ - length, "{} tokens behind {}, room for {}", count, length,
               capacity_);
  length += count;
  return {row, count, slot * capacity_, length};
}

void KvCache::truncate(Index slot, Index length) {
  LOGLOG_CHECK(slot >= 0 && slot < slots() && length >= 0 && length <= this->length(slot),
               "slot {} of {} to {} tokens", slot, slots(), length);
  lengths_[static_cast<std::size_t>(slot)] = length;
}

void KvCache::copy(Index from, Index to, Index length) {
  LOGLOG_CHECK(from >= 0 && from < slots() && to >= 0 && to < slots() && from != to && length >= 0 &&
                   length <= this->length(from),
               "{} tokens of slot {} to slot {} of {}", length, from, to, slots());
  for (const Rows& rows : memory_) {
    const auto first_row = [&](Index slot) {
      return rows.data + static_cast<std::size_t>(slot * capacity_) * rows.bytes;
    };
    std::memcpy(first_row(to), first_row(from), static_cast<std::size_t>(length) * rows.bytes);
  }
  lengths_[static_cast<std::size_t>(to)] = length;
}

}  // namespace loglog::infer
