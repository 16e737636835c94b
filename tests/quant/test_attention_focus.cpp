#include "quant/activations/attention_focus.hpp"

#include <algorithm>
#include <cmath>

#include "base/rng.hpp"
#include "kernels/attention.hpp"
#include "kernels/isa.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;
using kernels::AttentionMask;
using kernels::AttentionSequence;

namespace {

constexpr Index kHeads = 4, kKvHeads = 2, kSize = 8;

struct Attention {
  Index rows;
  std::vector<float> q, k, v, out, lse;
  kernels::AttentionShape shape;
  kernels::Scratch scratch;

  Attention(Index r, const kernels::AttentionShape& s, double scale = 1)
      : rows(r),
        q(filled(kHeads, 1, scale)),
        k(filled(kKvHeads, 2, scale)),
        v(filled(kKvHeads, 3, 1)),
        out(q.size()),
        lse(static_cast<std::size_t>(kHeads * r)),
        shape(s) {
    kernels::ExecContext ctx = context(1);
    kernels::attention_forward(ctx, kernels::MatrixRef(out.data(), rows, kHeads * kSize), lse.data(),
                               queries(), keys(), kernels::ConstMatrixRef(v.data(), rows, kKvHeads * kSize),
                               shape);
  }
  std::vector<float> filled(Index heads, std::uint64_t stream, double scale) const {
    std::vector<float> x(static_cast<std::size_t>(rows * heads * kSize));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(scale * Rng(8, stream).normal(i));
    return x;
  }
  kernels::ExecContext context(int threads) {
    const kernels::KernelTable& table = kernels::select_table("auto");
    scratch.reserve(kernels::attention_scratch_bytes(table, threads, shape));
    return {table, threads, scratch};
  }
  kernels::ConstMatrixRef queries() const { return {q.data(), rows, kHeads * kSize}; }
  kernels::ConstMatrixRef keys() const { return {k.data(), rows, kKvHeads * kSize}; }
  AttentionFocus seen(int threads = 1) {
    kernels::ExecContext ctx = context(threads);
    AttentionFocus focus;
    focus.add(ctx, 0, {queries(), keys(), lse.data(), shape});
    return focus;
  }
};

// Softmax in double of one head's sequence.
HeadFocus expected(const Attention& a, Index head, const AttentionSequence& s, HeadFocus sums = {}) {
  for (Index t = 0; t < s.queries; ++t) {
    const auto [first, last] = a.shape.mask.keys_of(t, s.queries, s.keys);
    if (last - first < 2) continue;
    std::vector<double> scores;
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      double score = 0;
      for (Index d = 0; d < kSize; ++d)
        score += double(a.q[static_cast<std::size_t>((s.query + t) * kHeads * kSize + head * kSize + d)]) *
                 double(a.k[static_cast<std::size_t>((s.key + i) * kKvHeads * kSize + head / 2 * kSize + d)]);
      scores.push_back(std::exp(score / std::sqrt(double(kSize))));
      sum += scores.back();
    }
    sums.top1 += *std::ranges::max_element(scores) / sum;
    sums.sink += first == 0 ? scores[0] / sum : 0;
    ++sums.queries;
  }
  return sums;
}

// Scores of normal numbers stay below 40 here (A < 40), so P is off by (300 + (8 + 16 + 2 + 8 + 2) 40 + 21) 2^-24 of itself at most
// (attention.hpp, lse; gemm.hpp, the score), 2e-4.
constexpr double kTolerance = 2e-4;

}  // namespace

TEST_CASE("what heads look at is the softmax of their scores") {
  for (const AttentionMask mask :
       {AttentionMask::causal(), AttentionMask::window_of(5), AttentionMask::full()}) {
    Attention a(
        2 * 300,
        {.batch = 2, .time = 300, .heads = kHeads, .head_size = kSize, .kv_heads = kKvHeads, .mask = mask});
    const AttentionFocus focus = a.seen();
    const std::vector<HeadFocus>& heads = focus.layers().at(0);
    REQUIRE(heads.size() == kHeads);
    double top1 = 0;
    for (Index h = 0; h < kHeads; ++h) {
      const HeadFocus e = expected(a, h, {300, 300, 300, 300}, expected(a, h, {0, 300, 0, 300}));
      const HeadFocus& f = heads[static_cast<std::size_t>(h)];
      REQUIRE(f.queries == e.queries);
      CHECK(f.top1 == Approx(e.top1).epsilon(kTolerance));
      CHECK(f.sink == Approx(e.sink).epsilon(kTolerance));
      top1 += e.top1 / static_cast<double>(e.queries) / kHeads;
    }
    CHECK(focus.top1() == Approx(top1).epsilon(kTolerance));
    CHECK(a.seen(2).top1() == focus.top1());
    CHECK(a.seen(2).sink() == focus.sink());
  }
}

TEST_CASE("documents have first tokens of their own") {
  const AttentionSequence documents[] = {{0, 1, 0, 1}, {1, 40, 1, 40}, {41, 9, 41, 9}};
  Attention a(
      50, {.batch = 3, .heads = kHeads, .head_size = kSize, .kv_heads = kKvHeads, .sequences = documents});
  const AttentionFocus focus = a.seen();
  for (Index h = 0; h < kHeads; ++h) {
    const HeadFocus e = expected(a, h, documents[2], expected(a, h, documents[1]));
    const HeadFocus& f = focus.layers().at(0)[static_cast<std::size_t>(h)];
    CHECK(f.queries == 39 + 8);
    CHECK(f.top1 == Approx(e.top1).epsilon(kTolerance));
    CHECK(f.sink == Approx(e.sink).epsilon(kTolerance));
  }
}

TEST_CASE("attention that looks nowhere in particular, and none at all") {
  Attention a(64, {.batch = 1, .time = 64, .heads = kHeads, .head_size = kSize, .kv_heads = kKvHeads}, 0);
  double mean = 0;
  for (int t = 1; t < 64; ++t) mean += 1.0 / (t + 1) / 63;
  CHECK(a.seen().top1() == Approx(mean).epsilon(kTolerance));
  CHECK(a.seen().sink() == Approx(mean).epsilon(kTolerance));
  CHECK(std::isnan(AttentionFocus().top1()));
  Attention single(3, {.batch = 3, .time = 1, .heads = kHeads, .head_size = kSize, .kv_heads = kKvHeads});
  CHECK(std::isnan(single.seen().top1()));  // every query sees itself alone
}
