// The self-test of coverage: that it passes on what it is for, and that it would fail.
#include "fit/selftest/coverage.hpp"

#include <cmath>

#include "fit/selftest/designs.hpp"
#include "fit/selftest/speed.hpp"
#include "fit/surface.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;
using Catch::Matchers::Contains;

namespace {

// Wald intervals of alpha, their ends moved away from the value by `factor`.
std::vector<Trial> alphas(int sweeps, double factor) {
  const CoverageTruth truth;
  std::vector<Trial> trials;
  for (int s = 0; s < sweeps; ++s) {
    const auto loss = losses_of(
        lab40(), [&](Place p) { return truth.loss(p.N, p.D); }, normal_noise(0.003), 5,
        static_cast<std::uint64_t>(s));
    const FitResult r =
        fit_surface(*find_law("chinchilla"), runs_of(lab40(), loss), {std::nullopt, {IntervalKind::wald, 1}});
    for (const Interval& i : r.params)
      if (i.name == "alpha")
        trials.push_back({i.value, i.value + factor * (i.low - i.value),
                          i.value + factor * (i.high - i.value), truth.alpha});
  }
  return trials;
}

const CoverageRow& row_of(const std::string& title) {
  for (const CoverageRow& row : coverage_rows())
    if (row.title.find(title) != std::string::npos) return row;
  FAIL("no row " << title);
  return coverage_rows().front();
}

std::string text_of(const std::vector<Judgement>& list) {
  std::string text;
  for (const Judgement& j : list) text += j.what + " | " + j.required + " | " + j.got + "\n";
  return text;
}

}  // namespace

TEST_CASE("intervals of half the width fail their row, and so do those twice as wide") {
  CHECK(judge("alpha", alphas(200, 1), kExact).passed);
  CHECK_FALSE(judge("alpha", alphas(200, 0.5), kExact).passed);
  const Judgement wide = judge("alpha", alphas(200, 2), kExact);
  CHECK_FALSE(wide.passed);
  CHECK_THAT(wide.got, Contains("100.0%") || Contains("99"));
  CHECK_FALSE(judge("alpha", alphas(200, 1.35), {90, 100}).passed);  // by the width alone
  CHECK(judge("alpha", alphas(200, 1.35), {90, 100}, kAnyWidth).passed);
}

TEST_CASE("an interval without ends holds nothing, one with one end holds what lies beyond") {
  std::vector<Trial> trials(1000, {1, 0.5, 2, 1});
  for (std::size_t i = 0; i < trials.size(); ++i) trials[i].value += i % 2 == 0 ? 0.4 : -0.4;
  const auto covered = [&](const Trial& t) {
    for (std::size_t i = 0; i < 500; ++i) trials[i] = t;
    return judge("x", trials, {99.9, 100}, kAnyWidth).passed;
  };
  CHECK(covered({1, 0.5, 2, 1}));
  CHECK(covered({1, NAN, 2, 1}));
  CHECK(covered({1, 0.5, NAN, 1}));
  CHECK_FALSE(covered({1, NAN, 0.9, 1}));
  CHECK_FALSE(covered({1, NAN, NAN, 1}));
  CHECK_FALSE(covered({NAN, NAN, NAN, 1}));
}

TEST_CASE("shares are judged on their side") {
  std::vector<char> has(1000, 1);
  for (std::size_t i = 0; i < 70; ++i) has[i] = 0;
  CHECK(judge_share("x", has, 90, 100).passed);
  CHECK_FALSE(judge_share("x", has, 95, 100).passed);
  CHECK_FALSE(judge_share("x", has, 0, 90).passed);
}

TEST_CASE("rows pass with few sweeps, and no row depends on threads") {
  for (const char* title :
       {"Wald, normal noise of 0.3%, small24", "profile, normal noise of 1.0%, lab40",
        "pair bootstrap, normal noise of 0.3%, lab40", "checkpoints taken for runs",
        "constant tokens per parameter", "truth with a break", "exponent a", "law critical-batch"}) {
    const CoverageOptions few{40, 1, 1};
    const std::vector<Judgement> once = row_of(title).run(few);
    for (const Judgement& j : once) {
      INFO(title << ": " << j.what << " " << j.got << ", required " << j.required);
      CHECK(j.passed);
    }
    CHECK(text_of(row_of(title).run({40, 1, 3})) == text_of(once));
  }
}

TEST_CASE("every law has a row, and each of the speed table says what is required") {
  for (const Law& law : laws()) row_of("law " + law.name + ",");
  CHECK(speed_rows().size() == 6);
}
