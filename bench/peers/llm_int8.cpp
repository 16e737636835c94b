// LLM.int8() has no peer among the libraries: it is compared with our own products of the types that it stands between.
#include "bench/llm_int8.hpp"

#include <algorithm>

#include "bench/peers/products.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/gemm_s8.hpp"
#include "kernels/peak.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

// One of the plain products, with its weights packed.
template <class T, class Sum>
struct PlainProduct {
  Operands<T> operands;
  PackedMatrix<T> weights;
  Buffer<Sum> c;

  PlainProduct(const KernelTable& table, const GemmShape& s)
      : operands(s), weights(table, operands.b()), c(s.m * s.n) {}
  Matrix<Sum> result() const { return {c.data(), operands.a().rows, operands.b().cols}; }
};

}  // namespace

Section measure_llm_int8(Session& session) {
  const auto against = [](const char* set) { return [set](const Row& row) { return row.set == set; }; };
  Section section{"llm_int8", "LLM.int8(), quantisation of X included", "GOP/s", "int8 peak", {}, {}};
  section.requirements = {{Measure::ratio, against("int8"), 0.65, 0.65, ""},
                          {Measure::ratio, against("bf16"), 1.15, 1.15, ""}};
  const GemmShape s = {"", 512, 4096, 4096};
  const LlmInt8Operands mixed(s);
  const Int8Weights weights(session.table, mixed.w(), {});
  const PlainProduct<std::int8_t, std::int32_t> int8(session.table, s);
  const PlainProduct<bf16, float> half(session.table, s);
  const Buffer<float> c(s.m * s.n);
  const int threads = session.threads;
  Scratch scratch(
      std::max({gemm_int8_scratch_bytes(session.table, threads, s.m, s.n, s.k),
                gemm_s8_scratch_bytes(session.table, threads, s.m, s.n, s.k, Weights::packed),
                gemm_bf16_scratch_bytes(session.table, threads, s.m, s.n, s.k, Weights::packed)}));
  ExecContext ctx{session.table, threads, scratch};

  const Contestant ours = {
      "loglog", true,
      [&] { gemm_int8(ctx, mixed.x(), weights, MatrixRef(c.data(), s.m, s.n), LlmInt8Operands::kOptions); }};
  const Contestant others[] = {
      {"int8", true, [&] { gemm_s8(ctx, int8.operands.a(), int8.weights, int8.result()); }},
      {"bf16", true, [&] { gemm_bf16(ctx, half.operands.a(), half.weights, half.result()); }}};
  const Yardstick yardstick = operations(session, s, sample_dot_s8_ops);
  ours.run();
  if (!mixed.is_product(c.data())) session.disagreements.push_back("loglog, LLM.int8()");
  for (const Contestant& other : others) {
    const std::string shape =
        fmt::format("{}, {} columns, to {}", s.text(), LlmInt8Operands::kOutlierColumns, other.name);
    section.rows.push_back(
        {other.name, shape, hold({yardstick.work, {ours, other}, yardstick.ceiling}, session.rounds), {}});
  }
  return section;
}

}  // namespace loglog::bench
