// One new token of each sequence against a long cache of keys and values, in each type that a cache may have: what counts is
// how fast they are read.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "bench/operands.hpp"
#include "bench/suites.hpp"
#include "kernels/attention.hpp"
#include "kernels/key_values.hpp"
#include "kernels/reference/attention.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

struct CacheCase {
  Index batch, time, heads, kv_heads, head_size;
};
// 65,536 tokens are 512 MiB of float32: beyond every cache but the largest; 8 x 2,048 tokens 64 MiB.
constexpr CacheCase kCases[] = {{1, 65536, 8, 8, 128}, {1, 65536, 32, 8, 128}, {8, 2048, 8, 8, 64}};

struct NamedType {
  const char* name;
  KeyValueType type;
};
constexpr NamedType kTypes[] = {
    {"f32", KeyValueType::float32}, {"bf16", KeyValueType::bfloat16}, {"int8", KeyValueType::int8}};

// In -1 .. 1.
float value_at(Index e) {
  return static_cast<float>(static_cast<std::uint32_t>(e) * 2654435761u >> 8) * 0x1p-23f - 1.0f;
}

// Keys or values of all tokens.
class Cache {
 public:
  Cache(const KernelTable& table, const CacheCase& c, KeyValueType type, Index seed)
      : c_(c),
        row_(c.kv_heads * head_stride(type, c.head_size)),
        bytes_(c.batch * c.time * row_ * static_cast<Index>(bytes_of(type))),
        matrix_(KeyValueMatrix::dense(bytes_.data(), type, c.batch * c.time, c.kv_heads, c.head_size)) {
    Scratch scratch(store_key_values_scratch_bytes(1, matrix_.cols, c.head_size));
    ExecContext ctx{table, 1, scratch};
    std::vector<float> row(static_cast<std::size_t>(matrix_.cols));
    for (Index t = 0; t < matrix_.rows; ++t) {
      for (Index j = 0; j < matrix_.cols; ++j)
        row[static_cast<std::size_t>(j)] = value_at((t + seed) * matrix_.cols + j);
      store_key_values(ctx, matrix_.rows_from(t, 1), ConstMatrixRef(row.data(), 1, matrix_.cols),
                       c.head_size);
    }
  }
  const KeyValueMatrix& matrix() const { return matrix_; }
  std::size_t bytes() const { return bytes_.bytes(); }

  // What element d of a head of token t stands for.
  double at(Index t, Index head, Index d) const {
    const ConstKeyValueRows row = ConstKeyValueMatrix(matrix_).head(t, head, c_.head_size);
    if (row.type == KeyValueType::float32) return double(static_cast<const float*>(row.data)[d]);
    if (row.type == KeyValueType::bfloat16) return to_float(static_cast<const bf16*>(row.data)[d]);
    float scale;
    std::memcpy(&scale, static_cast<const std::int8_t*>(row.data) + c_.head_size, sizeof scale);
    return double(scale) * static_cast<const std::int8_t*>(row.data)[d];
  }

 private:
  CacheCase c_;
  Index row_;
  Buffer<std::byte> bytes_;
  KeyValueMatrix matrix_;
};

class Decoding {
 public:
  Decoding(const KernelTable& table, int threads, const CacheCase& c, KeyValueType type)
      : c_(c),
        keys_(table, c, type, 1),
        values_(table, c, type, 7),
        q_(static_cast<std::size_t>(c.batch * width())),
        out_(q_.size(), std::nanf("")),
        lse_(static_cast<std::size_t>(c.batch * c.heads)) {
    for (std::size_t e = 0; e < q_.size(); ++e) q_[e] = value_at(static_cast<Index>(e) + 13);
    for (Index b = 0; b < c.batch; ++b) sequences_.push_back({b, 1, b * c.time, c.time});
    shape_ = {.batch = c.batch, .heads = c.heads, .head_size = c.head_size, .kv_heads = c.kv_heads};
    shape_.sequences = sequences_.data();
    scratch_.reserve(attention_scratch_bytes(table, threads, shape_));
  }
  void step(const KernelTable& table, int threads) {
    ExecContext ctx{table, threads, scratch_};
    attention_forward(ctx, MatrixRef(out_.data(), c_.batch, width()), lse_.data(),
                      ConstMatrixRef(q_.data(), c_.batch, width()), keys_.matrix(), values_.matrix(), shape_);
  }
  // The last head of the last sequence against float64.
  bool is_correct() const {
    const Index size = c_.head_size, kv_head = c_.kv_heads - 1, first = (c_.batch - 1) * c_.time;
    const std::size_t from = out_.size() - static_cast<std::size_t>(size);
    std::vector<double> k, v, q(q_.begin() + static_cast<std::ptrdiff_t>(from), q_.end()),
        expected(static_cast<std::size_t>(size)), lse(1);
    for (Index t = first; t < first + c_.time; ++t) {
      for (Index d = 0; d < size; ++d) {
        k.push_back(keys_.at(t, kv_head, d));
        v.push_back(values_.at(t, kv_head, d));
      }
    }
    reference::attention_ref(expected.data(), lse.data(), q.data(), k.data(), v.data(),
                             {1, c_.time, size, 1, 1, AttentionMask::full()});
    // Inputs are in -1..1, so A <= sqrt(D) and |v| <= 1.
    const double n = static_cast<double>(c_.time), depth = static_cast<double>(size);
    const double bound = (2 * (n * 33 / 32 + (depth + 17 + n / 128) * std::sqrt(depth) + 21) + 1) * 0x1p-24;
    for (std::size_t d = 0; d < expected.size(); ++d)
      if (!(std::abs(out_[from + d] - expected[d]) <= bound)) return false;
    return true;
  }
  std::size_t bytes() const { return keys_.bytes() + values_.bytes(); }

 private:
  Index width() const { return c_.heads * c_.head_size; }

  CacheCase c_;
  Cache keys_, values_;
  std::vector<float> q_, out_, lse_;
  std::vector<AttentionSequence> sequences_;
  AttentionShape shape_;
  Scratch scratch_;
};

void run(benchmark::State& state, const KernelTable& table, int threads, const CacheCase& c,
         KeyValueType type) {
  Decoding decoding(table, threads, c, type);
  decoding.step(table, threads);
  if (!decoding.is_correct()) return state.SkipWithError("wrong result");
  for (auto _ : state) {
    decoding.step(table, threads);
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  state.counters["cache_bytes/s"] =
      Counter(static_cast<double>(decoding.bytes()), Counter::kIsIterationInvariantRate);
  state.counters["cached_tokens/s"] =
      Counter(static_cast<double>(c.batch * c.time), Counter::kIsIterationInvariantRate);
}

}  // namespace

void register_attention_cache(const Machine& machine) {
  for (const int threads : {1, machine.threads}) {
    for (const CacheCase& c : kCases) {
      for (const NamedType& type : kTypes) {
        add(fmt::format("attention_cache/{}/{}/B:{}/T:{}/H:{}/kv_heads:{}/D:{}/threads:{}", type.name,
                        machine.table.name, c.batch, c.time, c.heads, c.kv_heads, c.head_size, threads),
            [=, &table = machine.table](benchmark::State& state) {
              run(state, table, threads, c, type.type);
            });
      }
    }
    if (machine.threads == 1) break;
  }
}

}  // namespace loglog::bench
