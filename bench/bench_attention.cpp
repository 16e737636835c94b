#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "bench/attention_gradients.hpp"
#include "bench/suites.hpp"
#include "kernels/attention.hpp"
#include "kernels/attention_bf16.hpp"
#include "kernels/reference/attention.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// `queries` new rows of each sequence against `shape.time` keys; as many as keys: self-attention.
struct Case {
  std::string variant;  // "" or "/gqa" ..
  AttentionShape shape;
  Index queries;
  FloatType type = FloatType::float32;
};

Case self_attention(const std::string& variant, AttentionShape shape, FloatType type = FloatType::float32) {
  return {variant, shape, shape.time, type};
}

// Tiny models of the sweeps, the character model of nanoGPT, GPT-2, the target shapes; then what is not plain causal.
std::vector<Case> cases() {
  std::vector<Case> list;
  for (const auto& [batch, time, heads, size] : {std::array<Index, 4>{16, 128, 2, 16},
                                                 {12, 64, 4, 32},
                                                 {16, 256, 6, 64},
                                                 {1, 1024, 12, 64},
                                                 {4, 256, 4, 128},
                                                 {4, 1024, 8, 64},
                                                 {4, 4096, 8, 64}})
    list.push_back(self_attention("", {batch, time, heads, size}));
  const AttentionShape plain{4, 1024, 8, 64}, long_one{1, 16384, 1, 64};
  const auto with = [](AttentionShape s, AttentionMask mask, Index kv_heads = 0) {
    s.mask = mask;
    s.kv_heads = kv_heads;
    return s;
  };
  list.push_back(self_attention("/full", with(plain, AttentionMask::full())));
  list.push_back(self_attention("/prefix:256", with(plain, AttentionMask::prefix_of(256))));
  list.push_back(self_attention("/window:256", with(plain, AttentionMask::window_of(256))));
  list.push_back(self_attention("/window:256", with(long_one, AttentionMask::window_of(256))));
  list.push_back(self_attention("/kv_heads:2", with(plain, {}, 2)));
  list.push_back(self_attention("/kv_heads:1", with({1, 1024, 8, 64}, {}, 1)));
  list.push_back(self_attention("/bf16", plain, FloatType::bfloat16));
  // Decoding: 2 x 4096 x 8 x 128 x 4 bytes are 32 MiB of keys and values, as much as the last cache.
  list.push_back({"/decode", {1, 4096, 8, 128}, 1});
  list.push_back({"/decode/bf16", {1, 4096, 8, 128}, 1, FloatType::bfloat16});
  list.push_back({"/decode/kv_heads:8", with({1, 4096, 32, 128}, {}, 8), 1});
  list.push_back({"/decode/batch", {8, 2048, 8, 64}, 1});
  return list;
}

template <class T>
T from(float x) {
  if constexpr (sizeof(T) == sizeof(float))
    return x;
  else
    return to_bf16(x);
}

template <class T>
struct Operands {
  Case c;
  AttentionShape shape = c.shape;
  std::vector<AttentionSequence> sequences;
  Index kv_heads = shape.kv_heads == 0 ? shape.heads : shape.kv_heads, rows = shape.batch * c.queries,
        keys = shape.batch * shape.time, width = shape.heads * shape.head_size,
        kv_width = kv_heads * shape.head_size;
  std::vector<T> q = random(rows * width, 1), k = random(keys * kv_width, 2), v = random(keys * kv_width, 3),
                 d_out = random(rows * width, 4), out = nothing(q), d_q = nothing(q), d_k = nothing(k),
                 d_v = nothing(v);
  std::vector<float> lse = std::vector<float>(static_cast<std::size_t>(rows * shape.heads));

  explicit Operands(const Case& of) : c(of) {
    for (Index b = 0; b < shape.batch; ++b)
      sequences.push_back({b * c.queries, c.queries, b * shape.time, shape.time});
    shape.sequences = sequences.data();
  }
  static std::vector<T> nothing(const std::vector<T>& like) {
    std::vector<T> x = like;
    for (T& value : x) value = from<T>(std::nanf(""));
    return x;
  }
  static std::vector<T> random(Index count, std::uint32_t seed) {
    std::vector<T> x(static_cast<std::size_t>(count));
    std::uint32_t bits = seed * 2654435761u;
    for (T& value : x) {
      bits = bits * 1664525u + 1013904223u;
      value = from<T>(static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f);
    }
    return x;
  }
  Matrix<T> queries_of(std::vector<T>& x) const { return {x.data(), rows, width}; }
  Matrix<T> keys_of(std::vector<T>& x) const { return {x.data(), keys, kv_width}; }
  void forward(ExecContext& ctx) {
    attention_forward(ctx, queries_of(out), lse.data(), queries_of(q), keys_of(k), keys_of(v), shape);
  }
  void backward(ExecContext& ctx) {
    attention_backward(ctx, queries_of(d_q), keys_of(d_k), keys_of(d_v), queries_of(d_out), queries_of(q),
                       keys_of(k), keys_of(v), queries_of(out), lse.data(), shape);
  }

  // Some queries of the first head of the last sequence against float64: a fast wrong kernel has no rate.
  bool is_correct(const KernelTable& table) const {
    const Index size = shape.head_size, first_key = keys - shape.time;
    for (Index t = 0; t < c.queries; t += 1 + c.queries / 3) {
      const Interval seen = shape.mask.keys_of(t, c.queries, shape.time);
      const reference::AttentionCase one{1, seen.last - seen.first, size, 1, 1, AttentionMask::full()};
      std::vector<double> row, head_k, head_v, expected(static_cast<std::size_t>(size)), sum(1);
      for (Index d = 0; d < size; ++d) row.push_back(real(q[(rows - c.queries + t) * width + d]));
      for (Index s = first_key + seen.first; s < first_key + seen.last; ++s) {
        for (Index d = 0; d < size; ++d) {
          head_k.push_back(real(k[s * kv_width + d]));
          head_v.push_back(real(v[s * kv_width + d]));
        }
      }
      reference::attention_ref(expected.data(), sum.data(), row.data(), head_k.data(), head_v.data(), one);
      // Inputs are in -1..1, so A <= sqrt(D) and |v| <= 1.
      const double n = static_cast<double>(one.keys), scores = std::sqrt(static_cast<double>(size));
      const double bound =
          2 * (n * 33 / 32 + (static_cast<double>(size) + 16 + n / 128) * scores + 21) * 0x1p-24 +
          (sizeof(T) == sizeof(float)        ? 0.0
           : Bf16Attention::is_native(table) ? 0x1p-7
                                             : 0x1p-8);
      for (Index d = 0; d < size; ++d)
        if (!(std::abs(real(out[(rows - c.queries + t) * width + d]) - expected[d]) <= bound)) return false;
    }
    return true;
  }
  AttentionPass<T> pass() {
    return {queries_of(q),   keys_of(k),   keys_of(v),   queries_of(out),
            queries_of(d_q), keys_of(d_k), keys_of(d_v), queries_of(d_out)};
  }
  // Pairs of a query and a key that it sees, times heads and sequences.
  double pairs() const {
    Index sum = 0;
    for (Index t = 0; t < c.queries; ++t) {
      const Interval seen = shape.mask.keys_of(t, c.queries, shape.time);
      sum += seen.last - seen.first;
    }
    return static_cast<double>(sum * shape.heads * shape.batch);
  }
};

template <class T>
void run(benchmark::State& state, const KernelTable& table, int threads, const Case& c, bool backward) {
  Operands<T> operands(c);
  Scratch scratch(attention_scratch_bytes(table, threads, operands.shape));
  ExecContext ctx{table, threads, scratch};
  operands.forward(ctx);
  if (!operands.is_correct(table)) return state.SkipWithError("wrong result");
  if (backward) {
    operands.backward(ctx);
    if (!operands.pass().gradients_agree()) return state.SkipWithError("wrong gradients");
  }
  PeakShare share(table, threads, sizeof(T) == sizeof(float) ? sample_fma_flops : sample_dot_bf16_flops);
  for (auto _ : state) {
    if (backward) {
      operands.backward(ctx);
    } else {
      operands.forward(ctx);
    }
    benchmark::ClobberMemory();
  }
  // A multiply-add per pair and column: 2 products forward, 4 backward; that backward makes the scores again is not counted.
  share.report(state, 2.0 * (backward ? 4 : 2) * operands.pairs() * static_cast<double>(c.shape.head_size));
  const auto bytes = static_cast<double>((operands.k.size() + operands.v.size()) * sizeof(T));
  if (c.queries == 1)
    state.counters["cache_bytes/s"] =
        benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

void register_attention(const Machine& machine) {
  for (const int threads : {1, machine.threads}) {
    for (const Case& c : cases()) {
      for (const bool backward : {false, true}) {
        if (backward && c.queries == 1) continue;
        const AttentionShape& s = c.shape;
        add(fmt::format("attention_{}{}/{}/B:{}/T:{}/H:{}/D:{}/threads:{}", backward ? "backward" : "forward",
                        c.variant, machine.table.name, s.batch, s.time, s.heads, s.head_size, threads),
            [=, &table = machine.table](benchmark::State& state) {
              if (c.type == FloatType::float32) {
                run<float>(state, table, threads, c, backward);
              } else {
                run<bf16>(state, table, threads, c, backward);
              }
            });
      }
    }
    if (machine.threads == 1) break;
  }
}

}  // namespace loglog::bench
