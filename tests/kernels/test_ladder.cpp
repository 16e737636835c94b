// Every rung of every ladder on one ISA: exact on small integers at the edges of tiles and blocks, within its bound on random
// operands, the same bits whatever the number of threads and of rows, and nothing touched beside its operands.
#include "kernels/ladder/ladder.hpp"

#include <cmath>
#include <filesystem>

#include "kernels/gemm_operand.hpp"
#include "kernels/ladder/gemm.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;
using namespace loglog::kernels::ladder;
using namespace loglog::testing;

namespace {

void run_gemm(const GemmRung& rung, int threads, const Operand<float>& a, const Operand<float>& b,
              GuardedMatrix& c) {
  const Index m = a.ref().rows, n = b.ref().cols, k = a.ref().cols;
  Scratch scratch(gemm_scratch(test_table(), threads, m, n, k));
  ExecContext ctx{test_table(), threads, scratch};
  rung.run(ctx, m, n, k, a.ref().data, b.ref().data, c.data());
  REQUIRE(c.intact());
}

Operand<float> integers(Index rows, Index cols) {
  return {rows, cols, false, 0, 0, integer_value};
}

void check_exact_gemm(const GemmRung& rung, Index m, Index n, Index k) {
  INFO(rung.info.name << " M " << m << " N " << n << " K " << k);
  const Operand<float> a = integers(m, k), b = integers(k, n);
  for (const int threads : {1, 3}) {
    GuardedMatrix c(m, n);
    run_gemm(rung, threads, a, b, c);
    if (m * n == 0) continue;
    REQUIRE(compare(m * n, [&](Index e) {
      return Element{c(e / n, e % n), exact_sum(a, b, e / n, e % n).value};
    }));
  }
}

const KernelTable& kernel_table() {
  return test_table();
}

}  // namespace

TEST_CASE("gemm rungs are exact on small integers at every edge", "[ladder]") {
  const GemmF32& tile = *kernel_table().gemm_f32;
  const Index mr = tile.mr, nr = tile.nr;
  for (const GemmRung& rung : gemm_rungs(kernel_table())) {
    for (const Index m : {Index{0}, Index{1}, mr - 1, mr, mr + 1, 2 * mr + 1})
      for (const Index n : {Index{0}, Index{1}, nr - 1, nr, nr + 1, 2 * nr + 1})
        for (const Index k : {0, 1, 7}) check_exact_gemm(rung, m, n, k);
    check_exact_gemm(rung, 3, 33, 127);  // blocks of K
    check_exact_gemm(rung, 3, 33, 128);
    check_exact_gemm(rung, 2, 5, 300);
    check_exact_gemm(rung, 2, 511, 3);  // blocks of N
    check_exact_gemm(rung, mr + 1, 1030, 130);
    check_exact_gemm(rung, 65, 64, 63);
  }
}

TEST_CASE("gemm rungs keep their rounding bound", "[ladder][large]") {
  const Index m = 37, n = 45;
  for (const GemmRung& rung : gemm_rungs(kernel_table())) {
    for (const Index k : {1, 64, 300, 1000}) {
      INFO(rung.info.name << " K " << k);
      const Operand<float> a(m, k, false, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
      GuardedMatrix c(m, n);
      run_gemm(rung, 2, a, b, c);
      const auto verdict = [&](auto&& bound) {
        return compare(m * n, [&](Index e) {
          const Sum sum = exact_sum(a, b, e / n, e % n);
          return Element{c(e / n, e % n), sum.value, bound(sum.absolute)};
        });
      };
      // (1 + r)^2 - 1 <= 2.01 r for the r of bfloat16, 2^-8, and sums of products that are larger by as much.
      const double operands = 2.01 * rung.info.operand_error;
      REQUIRE(verdict([&](double absolute) {
        return (operands + static_cast<double>(k + 2) * kUnitRoundoff * (1 + operands)) * absolute +
               static_cast<double>(k) * 0x1p-149;
      }));
      if (operands > 0) continue;
      const auto typical = verdict(
          [&](double absolute) { return kUnitRoundoff * std::sqrt(static_cast<double>(k)) * absolute; });
      REQUIRE(typical.rms_ratio < 4.0);
    }
  }
}

TEST_CASE("a row of a gemm rung has the same bits alone, among others, and with any number of threads",
          "[ladder]") {
  const Index m = 31, n = 70, k = 200;
  const Operand<float> a(m, k, false, 0, 0, random_value), b(k, n, false, 0, 0, random_value);
  for (const GemmRung& rung : gemm_rungs(kernel_table())) {
    INFO(rung.info.name);
    GuardedMatrix one(m, n), three(m, n);
    run_gemm(rung, 1, a, b, one);
    run_gemm(rung, 3, a, b, three);
    REQUIRE(compare_equal(three.values(), one.values()));
    for (const Index row : {Index{0}, Index{15}, m - 1}) {
      const Operand<float> part(1, k, false, 0, 0, [&](Index, Index p) { return random_value(row, p); });
      GuardedMatrix c(1, n);
      run_gemm(rung, 1, part, b, c);
      REQUIRE(compare(n, [&](Index j) { return Element{c(0, j), one(row, j)}; }));
    }
  }
}

TEST_CASE("rungs are numbered from 1 and each has its page", "[ladder]") {
  for (const LadderKind& kind : ladder_kinds()) {
    const auto ladder = kind.make(kernel_table(), 1, std::vector<Index>(kind.sizes.front().size(), 8));
    int number = 0;
    for (const RungInfo& rung : ladder->rungs()) {
      const std::string page = fmt::format("docs/ladder/{}/{:02}-{}.md", kind.name, ++number, rung.name);
      INFO(page);
      REQUIRE(rung.number == number);
      REQUIRE(std::filesystem::exists(page));
    }
  }
}

TEST_CASE("a rung that needs an ISA is there on it, and missing on the one that it extends", "[ladder]") {
  for (const LadderKind& kind : ladder_kinds()) {
    const auto ladder = kind.make(kernel_table(), 1, kind.sizes.front());
    for (const RungInfo& rung : ladder->rungs()) {
      for (const IsaRow& row : isa_rows()) {
        const bool extends = row.table->float32 != std::string_view(row.name);
        if (!row.supported || !extends ||
            std::string_view(rung.needs).find(row.name) == std::string_view::npos)
          continue;
        INFO(kind.name << " " << rung.name << " " << row.name);
        REQUIRE(missing(rung, *row.table) == "");
        REQUIRE_THAT(missing(rung, select_table(row.table->float32)),
                     Catch::Matchers::Contains(fmt::format("isa {} does without", row.table->float32)));
      }
    }
  }
}

namespace {

void run_it(const std::string&, const std::function<void()>& run) {
  run();
}

}  // namespace

TEST_CASE("the checks of the verb accept every rung", "[ladder][large]") {
  for (const LadderKind& kind : ladder_kinds()) {
    const auto ladder = kind.make(kernel_table(), 2, std::vector<Index>(kind.sizes.front().size(), 24));
    for (int rung = 0; rung < static_cast<int>(ladder->rungs().size()); ++rung) {
      INFO(kind.name << " " << ladder->rungs()[rung].name);
      if (!missing(ladder->rungs()[rung], kernel_table()).empty()) continue;
      REQUIRE(ladder->check(rung, ladder->parts(), run_it) == "");
    }
  }
}

namespace {

template <int MISTAKE>  // 0 none, 1 one element, 2 the last column, 3 writes before C
void guest_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float* c) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n - (MISTAKE == 2 && n > 20); ++j) {
      float sum = MISTAKE == 1 && i * n + j == 300 ? 1.0f : 0.0f;
      for (Index p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
  if (MISTAKE == 3) c[-1] = 0.0f;
}

template <int MISTAKE>
std::string verdict_on_guest() {
  const auto ladder = ladder_kinds().front().make(kernel_table(), 1, {24, 24, 24});
  ladder->add_guest({.number = 0, .name = "guest", .idea = "", .gain = 0, .why = ""},
                    reinterpret_cast<Symbol>(guest_gemm<MISTAKE>));
  return ladder->check(static_cast<int>(ladder->rungs().size()) - 1, 24, run_it);
}

}  // namespace

TEST_CASE("the checks of the verb name the first wrong element", "[ladder]") {
  REQUIRE(verdict_on_guest<0>() == "");
  REQUIRE_THAT(verdict_on_guest<1>(), Catch::Contains("(M ") && Catch::Contains("should be"));
  REQUIRE_THAT(verdict_on_guest<2>(), Catch::Contains("C[0,") && Catch::Contains("is nan"));
  REQUIRE_THAT(verdict_on_guest<3>(), Catch::Contains("before the first element of C (M 1,"));
}
