#include "bench/peers/products.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "bench/operands.hpp"
#include "bench/peers/onednn.hpp"
#include "cli/talk.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/gemm_s8.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

#if defined(LOGLOG_PEERS_ONEDNN)
// As it lies, or reordered before; nothing where the library has only its reference loops for it.
void add_onednn(Contest& contest, Row& row, const char* name, bool counted, const OneDnnMatrix& a,
                const OneDnnMatrix& b, const OneDnnMatrix& c, OneDnnWeights weights) {
  const OneDnnProduct product = onednn_product(a, b, c, weights);
  const bool has_kernel = product.run && product.implementation.find("ref") == std::string::npos;
  row.notes.push_back(fmt::format("{}: {}{}", name, product.run ? product.implementation : "no such product",
                                  product.run && !has_kernel ? ", not timed" : ""));
  if (has_kernel) contest.contestants.push_back({name, counted, product.run});
}
#endif

// The rest of a row whose contestants write their results to `ours` and, all others, to `theirs`. Sums are exact: results
// are equal or wrong. What is wrong is not timed.
template <class T, class Sum>
void finish(Session& session, Row& row, Contest& contest, const Operands<T>& operands,
            const Buffer<Sum>& ours, const Buffer<Sum>& theirs) {
  cli::talk("  {}\n", row.shape);  // this takes minutes: who waits sees how far it is
  contest.contestants.front().run();
  if (!operands.is_product(ours.data())) session.disagreements.push_back("loglog, " + row.shape);
  std::erase_if(contest.contestants, [&](const Contestant& c) {
    if (&c == contest.contestants.data()) return false;
    std::memset(theirs.data(), 0xff, theirs.bytes());  // NaN, -1
    c.run();
    if (std::equal(ours.data(), ours.data() + ours.count(), theirs.data())) return false;
    session.disagreements.push_back(c.name + ", " + row.shape);
    return true;
  });
  row.result = hold(contest, session.rounds);
}

Row row_of(std::string set, const GemmShape& shape) {
  return {std::move(set), fmt::format("{} {}", shape.text(), shape.what), {}, {}};
}

// What bfloat16 and int8 have in common: our weights are packed.
template <class T, class Sum>
struct PackedSides {
  Operands<T> operands;
  Buffer<Sum> ours, theirs;
  PackedMatrix<T> weights;
  Scratch scratch;

  PackedSides(const Session& session, const GemmShape& s, std::size_t scratch_bytes)
      : operands(s),
        ours(s.m * s.n),
        theirs(s.m * s.n),
        weights(session.table, operands.b()),
        scratch(scratch_bytes) {}
};

}  // namespace

double sample(const Session& session, const std::function<double(double seconds)>& ceiling) {
  if (!session.rounds.processor_time) return ceiling(session.rounds.seconds);
  double best = 0.0;
  for (int i = 0; i < 5; ++i) best = std::max(best, ceiling(0.002));
  return best;
}

Yardstick operations(const Session& session, const GemmShape& shape, Ceiling ceiling) {
  return {shape.flops(), [&session, ceiling] {
            return sample(session,
                          [&](double seconds) { return ceiling(session.table, session.threads, seconds); });
          }};
}

Row f32_row(Session& session, std::string set, const GemmShape& s, int threads, const Yardstick& yardstick,
            Weights weights) {
  Row row = row_of(std::move(set), s);
  const Operands<float> operands(s);
  const Buffer<float> ours(s.m * s.n), theirs(s.m * s.n);
  const ConstMatrix<float> a = operands.a(), b = operands.b();
  Scratch scratch(gemm_scratch_bytes(session.table, threads, s.m, s.n, s.k));
  ExecContext ctx{session.table, threads, scratch};
  Contest contest{yardstick.work, {}, yardstick.ceiling};
  const MatrixRef c(ours.data(), s.m, s.n);
  std::optional<PackedMatrix<float>> packed;
  if (weights == Weights::packed) {
    packed.emplace(session.table, b);
    contest.contestants.push_back({"loglog", true, [&] { gemm(ctx, a, *packed, c); }});
  } else {
    contest.contestants.push_back({"loglog", true, [&] { gemm(ctx, a, b, c); }});
  }
  for (const ladder::SgemmLibrary& blas : session.blas) {
    blas.set_threads(threads);
    contest.contestants.push_back({blas.name(), true, [&] { blas(a, b, theirs.data()); }});
  }
#if defined(LOGLOG_PEERS_ONEDNN)
  omp_set_num_threads(threads);
  const OneDnnMatrix a_dnn = onednn_matrix(a, OneDnnType::f32), b_dnn = onednn_matrix(b, OneDnnType::f32),
                     c_dnn = {theirs.data(), s.m, s.n, s.n, 1, OneDnnType::f32};
  add_onednn(contest, row, "oneDNN", true, a_dnn, b_dnn, c_dnn, OneDnnWeights::plain);
  add_onednn(contest, row, "oneDNN packed", false, a_dnn, b_dnn, c_dnn, OneDnnWeights::packed);
#endif
  if (weights == Weights::packed) {
    contest.contestants.push_back(
        {"loglog plain", false, [&] { gemm(ctx, a, b, MatrixRef(theirs.data(), s.m, s.n)); }});
  }
  finish(session, row, contest, operands, ours, theirs);
  return row;
}

Row bf16_row(Session& session, std::string set, const GemmShape& s, const Yardstick& yardstick) {
  Row row = row_of(std::move(set), s);
  PackedSides<bf16, float> sides(
      session, s, gemm_bf16_scratch_bytes(session.table, session.threads, s.m, s.n, s.k, Weights::packed));
  ExecContext ctx{session.table, session.threads, sides.scratch};
  Contest contest{yardstick.work, {}, yardstick.ceiling};
  contest.contestants.push_back(
      {"loglog", true,
       [&] { gemm_bf16(ctx, sides.operands.a(), sides.weights, MatrixRef(sides.ours.data(), s.m, s.n)); }});
#if defined(LOGLOG_PEERS_ONEDNN)
  omp_set_num_threads(session.threads);
  const OneDnnMatrix a = onednn_matrix(sides.operands.a(), OneDnnType::bf16),
                     b = onednn_matrix(sides.operands.b(), OneDnnType::bf16),
                     c = {sides.theirs.data(), s.m, s.n, s.n, 1, OneDnnType::f32};
  add_onednn(contest, row, "oneDNN packed", true, a, b, c, OneDnnWeights::packed);
  add_onednn(contest, row, "oneDNN", false, a, b, c, OneDnnWeights::plain);
#endif
  finish(session, row, contest, sides.operands, sides.ours, sides.theirs);
  return row;
}

Row int8_row(Session& session, std::string set, const GemmShape& s, const Yardstick& yardstick) {
  Row row = row_of(std::move(set), s);
  PackedSides<std::int8_t, std::int32_t> sides(
      session, s, gemm_s8_scratch_bytes(session.table, session.threads, s.m, s.n, s.k, Weights::packed));
  ExecContext ctx{session.table, session.threads, sides.scratch};
  Contest contest{yardstick.work, {}, yardstick.ceiling};
  contest.contestants.push_back(
      {"loglog", true,
       [&] { gemm_s8(ctx, sides.operands.a(), sides.weights, MatrixS32(sides.ours.data(), s.m, s.n)); }});
#if defined(LOGLOG_PEERS_ONEDNN)
  omp_set_num_threads(session.threads);
  const auto a = [&](OneDnnType type) { return onednn_matrix(sides.operands.a(), type); };
  const OneDnnMatrix b = onednn_matrix(sides.operands.b(), OneDnnType::s8),
                     c = {sides.theirs.data(), s.m, s.n, s.n, 1, OneDnnType::s32};
  // Signed activations are the product that ours computes. Unsigned ones spare the library the correction of their offset.
  add_onednn(contest, row, "oneDNN packed", true, a(OneDnnType::s8), b, c, OneDnnWeights::packed);
  add_onednn(contest, row, "oneDNN packed u8", false, a(OneDnnType::u8), b, c, OneDnnWeights::packed);
  add_onednn(contest, row, "oneDNN", false, a(OneDnnType::s8), b, c, OneDnnWeights::plain);
#endif
  finish(session, row, contest, sides.operands, sides.ours, sides.theirs);
  return row;
}

}  // namespace loglog::bench
