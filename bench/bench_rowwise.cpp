// Row kernels against the measured copy bandwidth: bytes that must be read plus bytes that must be written, as
// kernels/peak.hpp counts a copy. share_of_copy is of the copy that was sampled before and after the loop in this very run,
// over as many bytes, with the better of cached and streamed stores.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "bench/suites.hpp"
#include "kernels/bf16.hpp"
#include "kernels/block.hpp"
#include "kernels/isa.hpp"
#include "kernels/parallel.hpp"
#include "kernels/rowwise/activation.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/cross_entropy.hpp"
#include "kernels/rowwise/norm.hpp"
#include "kernels/rowwise/optimizer.hpp"
#include "kernels/rowwise/rotary.hpp"
#include "kernels/rowwise/softmax.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

constexpr Index kMiB = 1 << 20;
// Beyond any cache, and inside the second level.
constexpr Index kTotalMiB[] = {1024, 1};
constexpr Index kHeadSize = 64;

// One kernel on matrices of (R, cols): bytes of an element of each, and bytes that must move for one element of all.
struct Suite {
  const char* name;
  Index cols;
  std::vector<Index> element_bytes;
  double moved_bytes;
  std::function<void(ExecContext&, struct Operands&)> call;
};

// Positive, and of one size: a square of AdamW's may not be negative, and nothing becomes subnormal.
void fill(std::byte* first, std::size_t bytes) {
  std::vector<float> pattern(4096);
  std::uint32_t bits = 1;
  for (float& v : pattern) {
    bits = bits * 1664525u + 1013904223u;
    v = std::bit_cast<float>(0x3f000000u |
                             (bits >> 9 & 0x7fbfffu));  // its halves are finite as bfloat16, too
  }
  const std::size_t step = pattern.size() * sizeof(float);
  for (std::size_t i = 0; i < bytes; i += step)
    std::memcpy(first + i, pattern.data(), std::min(step, bytes - i));
}

// 1 GiB, allocated when the first benchmark runs, shared by all.
class Memory {
 public:
  std::byte* filled() {
    if (block_.as<std::byte>() == nullptr) block_ = Block(kBytes);
    fill(block_.as<std::byte>(), kBytes);
    return block_.as<std::byte>();
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{kTotalMiB[0]} * kMiB;
  Block block_;
};

struct Operands {
  Index rows, cols;
  std::vector<std::byte*> data;
  std::vector<float> row, zeros;        // (cols): a gain; sums that start at 0
  std::vector<float> statistic, other;  // (rows)
  std::vector<Token> targets;           // (rows)
  std::vector<float> cos, sin;          // (rows of positions, kHeadSize / 2)

  Operands(const Suite& suite, std::byte* memory, Index bytes) : cols(suite.cols) {
    Index row_bytes = 0;
    for (const Index b : suite.element_bytes) row_bytes += b * cols;
    const auto lines =
        static_cast<Index>(suite.element_bytes.size() * kCacheLineBytes);  // a matrix begins on one
    rows = std::max<Index>(1, (bytes - lines) / row_bytes);
    for (const Index b : suite.element_bytes) {
      data.push_back(memory);
      memory += round_up_to_cache_line(static_cast<std::size_t>(rows * cols * b));
    }
    row.assign(static_cast<std::size_t>(cols), 1.0f);
    zeros.assign(static_cast<std::size_t>(cols), 0.0f);
    statistic.assign(static_cast<std::size_t>(rows), 1.0f);
    other = statistic;
    targets.assign(static_cast<std::size_t>(rows), 0);
    cos.assign(kHeadSize / 2, 0.8f);
    sin.assign(kHeadSize / 2, 0.6f);
  }
  float* floats(std::size_t i) const { return reinterpret_cast<float*>(data[i]); }
  MatrixRef matrix(std::size_t i) const { return {floats(i), rows, cols}; }
  Matrix<bf16> halves(std::size_t i) const { return {reinterpret_cast<bf16*>(data[i]), rows, cols}; }
  Index count() const { return rows * cols; }
  Rotary rotary(RotaryPairing pairing) const {
    return {pairing, kHeadSize, {cos.data(), 1, kHeadSize / 2}, {sin.data(), 1, kHeadSize / 2}};
  }
};

// Bytes per second of the better copy from the first half of `bytes` to the second.
double copy_rate(const KernelTable& table, int threads, std::byte* memory, Index bytes) {
  const auto* const from = reinterpret_cast<float*>(memory);
  auto* const to = reinterpret_cast<float*>(memory + bytes / 2);
  const Index floats = bytes / 2 / static_cast<Index>(sizeof(float));
  const Index pieces = threads == 1 ? 1 : 4 * threads, step = round_up(ceil_div(floats, pieces), 1024);
  double best = 0.0;
  for (const auto copy : {table.peak->copy, table.peak->copy_streamed}) {
    const auto start = std::chrono::steady_clock::now();
    double seconds = 0.0;
    Index copies = 0;
    do {
      parallel_tasks(threads, ceil_div(floats, step), [&](Index i, int) {
        copy(to + i * step, from + i * step, std::min(step, floats - i * step));
      });
      ++copies;
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    } while (seconds < 0.01);
    best = std::max(best, static_cast<double>(bytes * copies) / seconds);
  }
  return best;
}

// What a call leaves in all its operands, as numbers.
std::vector<std::vector<float>> results(const Suite& suite, const KernelTable& table, int threads,
                                        std::byte* memory, Index bytes) {
  fill(memory, static_cast<std::size_t>(bytes));
  Operands o(suite, memory, bytes);
  Scratch scratch(rowwise_scratch_bytes(table, threads, o.rows, o.cols));
  ExecContext ctx{table, threads, scratch};
  suite.call(ctx, o);
  std::vector<std::vector<float>> all = {o.row, o.zeros, o.statistic, o.other};
  for (std::size_t i = 0; i < o.data.size(); ++i) {
    std::vector<float>& x = all.emplace_back();
    for (Index j = 0; j < o.count(); ++j)
      x.push_back(suite.element_bytes[i] == sizeof(float) ? o.floats(i)[j] : to_float(o.halves(i).data[j]));
  }
  return all;
}

// The same numbers as the scalar ISA's, up to 2^-10 of an element and of the median of its kind: a fast wrong kernel has no rate.
// `large`: of results that are streamed.
bool is_correct(const Suite& suite, const KernelTable& table, int threads, bool large) {
  const Index bytes = large ? static_cast<Index>(suite.element_bytes.size()) * 34 * kMiB : 2 * kMiB;
  const Block block(static_cast<std::size_t>(bytes));
  const auto actual = results(suite, table, threads, block.as<std::byte>(), bytes),
             expected = results(suite, select_table("scalar"), 1, block.as<std::byte>(), bytes);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    std::vector<float> magnitudes(expected[i]);
    for (float& x : magnitudes) x = std::abs(x);
    const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>(magnitudes.size() / 2);
    std::nth_element(magnitudes.begin(), middle, magnitudes.end());
    const double typical = *middle;
    for (std::size_t j = 0; j < expected[i].size(); ++j) {
      const double x = expected[i][j];
      if (!(std::abs(actual[i][j] - x) <= 0x1p-10 * (std::abs(x) + typical))) return false;
    }
  }
  return true;
}

void run(benchmark::State& state, const KernelTable& table, int threads, const Suite& suite, Memory& memory,
         Index bytes) {
  if (!is_correct(suite, table, threads, bytes > 64 * kMiB)) return state.SkipWithError("wrong result");
  std::byte* const block = memory.filled();
  Operands operands(suite, block, bytes);
  Scratch scratch(rowwise_scratch_bytes(table, threads, operands.rows, operands.cols));
  ExecContext ctx{table, threads, scratch};
  suite.call(ctx, operands);
  const double before = copy_rate(table, threads, block, bytes);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    suite.call(ctx, operands);
    benchmark::ClobberMemory();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double copy = (before + copy_rate(table, threads, block, bytes)) / 2.0;
  const double elements = static_cast<double>(operands.count()) * static_cast<double>(state.iterations());
  state.counters["bytes/s"] = elements * suite.moved_bytes / seconds;
  state.counters["share_of_copy"] = elements * suite.moved_bytes / seconds / copy;
}

std::vector<Suite> norm_suites() {
  return {{"layernorm_forward",
           1024,
           {4, 4},
           8,
           [](ExecContext& ctx, Operands& o) {
             layernorm_forward(ctx, o.matrix(0), o.statistic.data(), o.other.data(), o.matrix(1),
                               o.row.data(), o.zeros.data(), 1e-5f);
           }},
          {"layernorm_backward",
           1024,
           {4, 4, 4},
           12,
           [](ExecContext& ctx, Operands& o) {
             layernorm_backward(ctx, o.matrix(0), o.zeros.data(), o.zeros.data(), o.matrix(1), o.matrix(2),
                                o.statistic.data(), o.other.data(), o.row.data());
           }},
          {"rmsnorm_forward",
           1024,
           {4, 4},
           8,
           [](ExecContext& ctx, Operands& o) {
             rmsnorm_forward(ctx, o.matrix(0), o.statistic.data(), o.matrix(1), o.row.data(), 1e-5f);
           }},
          {"rmsnorm_backward", 1024, {4, 4, 4}, 12, [](ExecContext& ctx, Operands& o) {
             rmsnorm_backward(ctx, o.matrix(0), o.zeros.data(), o.matrix(1), o.matrix(2), o.statistic.data(),
                              o.row.data());
           }}};
}

std::vector<Suite> activation_suites(const char* forward, const char* backward, Activation act) {
  return {{forward,
           4096,
           {4, 4},
           8,
           [=](ExecContext& ctx, Operands& o) { activation_forward(ctx, act, o.matrix(0), o.matrix(1)); }},
          {backward, 4096, {4, 4, 4}, 12, [=](ExecContext& ctx, Operands& o) {
             activation_backward(ctx, act, o.matrix(0), o.matrix(1), o.matrix(2));
           }}};
}

std::vector<Suite> element_suites() {
  return {{"to_bf16",
           1024,
           {2, 4},
           6,
           [](ExecContext& ctx, Operands& o) { convert(ctx, o.halves(0), ConstMatrixRef(o.matrix(1))); }},
          {"to_float32",
           1024,
           {4, 2},
           6,
           [](ExecContext& ctx, Operands& o) { convert(ctx, o.matrix(0), ConstMatrix<bf16>(o.halves(1))); }},
          {"add",
           1024,
           {4, 4, 4},
           12,
           [](ExecContext& ctx, Operands& o) { add(ctx, o.matrix(0), o.matrix(1), o.matrix(2)); }},
          {"swiglu_forward",
           4096,
           {4, 4, 4},
           12,
           [](ExecContext& ctx, Operands& o) {
             gated_forward(ctx, Activation::silu, o.matrix(0), o.matrix(1), o.matrix(2));
           }},
          {"swiglu_backward",
           4096,
           {4, 4, 4, 4, 4},
           20,
           [](ExecContext& ctx, Operands& o) {
             gated_backward(ctx, Activation::silu, o.matrix(0), o.matrix(1), o.matrix(2), o.matrix(3),
                            o.matrix(4));
           }},
          {"rotary_halves",
           1024,
           {4, 4},
           8,
           [](ExecContext& ctx, Operands& o) {
             rotary_forward(ctx, o.matrix(0), o.matrix(1), o.targets.data(), o.rotary(RotaryPairing::halves));
           }},
          {"rotary_halves_in_place",
           1024,
           {4},
           8,
           [](ExecContext& ctx, Operands& o) {
             rotary_forward(ctx, o.matrix(0), o.matrix(0), o.targets.data(), o.rotary(RotaryPairing::halves));
           }},
          {"rotary_interleaved", 1024, {4, 4}, 8, [](ExecContext& ctx, Operands& o) {
             rotary_forward(ctx, o.matrix(0), o.matrix(1), o.targets.data(),
                            o.rotary(RotaryPairing::interleaved));
           }}};
}

std::vector<Suite> softmax_suites(Index cols) {
  return {{"softmax_forward",
           cols,
           {4, 4},
           8,
           [](ExecContext& ctx, Operands& o) { softmax_forward(ctx, o.matrix(0), o.matrix(1), 0.5f); }},
          {"softmax_backward",
           cols,
           {4, 4, 4},
           12,
           [](ExecContext& ctx, Operands& o) {
             softmax_backward(ctx, o.matrix(0), o.matrix(1), o.matrix(2), 0.5f);
           }},
          {"cross_entropy_losses",
           cols,
           {4},
           4,
           [](ExecContext& ctx, Operands& o) {
             cross_entropy_forward(ctx, o.statistic.data(), o.matrix(0), o.targets.data());
           }},
          {"cross_entropy",
           cols,
           {4, 4},
           8,
           [](ExecContext& ctx, Operands& o) {
             cross_entropy_forward_backward(ctx, o.statistic.data(), o.matrix(0), o.matrix(1),
                                            o.targets.data(), 1.0f);
           }},
          {"cross_entropy_in_place", cols, {4}, 8, [](ExecContext& ctx, Operands& o) {
             cross_entropy_forward_backward(ctx, o.statistic.data(), o.matrix(0), o.matrix(0),
                                            o.targets.data(), 1.0f);
           }}};
}

std::vector<Suite> optimizer_suites() {
  return {{"adamw",
           1024,
           {4, 4, 4, 4},
           28,
           [](ExecContext& ctx, Operands& o) {
             adamw(ctx, o.floats(0), o.floats(1), o.floats(2), o.floats(3), o.count(),
                   {.lr = 0.01f, .step = 10});
           }},
          {"sgd_momentum",
           1024,
           {4, 4, 4},
           20,
           [](ExecContext& ctx, Operands& o) {
             sgd(ctx, o.floats(0), o.floats(1), o.floats(2), o.count(), {.lr = 0.01f, .momentum = 0.9f});
           }},
          {"sum_of_squares", 1024, {4}, 4, [](ExecContext& ctx, Operands& o) {
             o.statistic[0] = static_cast<float>(sum_of_squares(ctx, o.floats(0), o.count()));
           }}};
}

}  // namespace

void register_rowwise(const Machine& machine) {
  const auto memory = std::make_shared<Memory>();
  const auto add_all = [&](const std::vector<Suite>& suites) {
    for (const Suite& suite : suites) {
      for (const Index mib : kTotalMiB) {
        for (int threads = 1; threads <= machine.threads; ++threads) {
          const KernelTable& table = machine.table;
          add(fmt::format("{}/{}/MiB:{}/C:{}/threads:{}", suite.name, table.name, mib, suite.cols, threads),
              [=, &table](benchmark::State& state) {
                run(state, table, threads, suite, *memory, mib * kMiB);
              });
        }
      }
    }
  };
  add_all(element_suites());
  add_all(norm_suites());
  add_all(activation_suites("gelu_forward", "gelu_backward", Activation::gelu));
  add_all(activation_suites("relu_forward", "relu_backward", Activation::relu));
  add_all(softmax_suites(1024));
  add_all(softmax_suites(50304));
  add_all(optimizer_suites());
}

}  // namespace loglog::bench
