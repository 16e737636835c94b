// Verdicts from numbers whose distribution is known.
#include "studies/verdict.hpp"

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

// Normal samples around a value.
Measure measure(double value, double sd, double low, double high, double null = Measure::kNone,
                double least = 0) {
  Measure m;
  m.name = "m", m.value = value, m.low = low, m.high = high, m.null = null, m.least = least;
  const Rng rng(1, 1);
  for (std::uint64_t i = 0; i < 4000; ++i) m.samples.push_back(value + sd * rng.normal(i));
  return m;
}

Measure exact(double value, double low, double high, double null = Measure::kNone) {
  Measure m = measure(value, 0, low, high, null);
  m.samples.clear();
  return m;
}

constexpr double kInf = Measure::kInfinity;
const std::vector<Control> kGood = {{"planted", true, true, "found"}, {"null", false, true, "silent"}};

Finding judged(std::vector<Measure> measures, const std::vector<Control>& controls = kGood) {
  std::vector<Finding> findings(1);
  findings[0].measures = std::move(measures);
  judge(findings, controls);
  return findings[0];
}

Verdict verdict(std::vector<Measure> measures) {
  return judged(std::move(measures)).verdict;
}

}  // namespace

TEST_CASE("a measure inside its band reproduces, if its interval is too") {
  CHECK(verdict({measure(2, 0.1, 1, 3)}) == Verdict::reproduced);
  CHECK(verdict({measure(2, 1, 1, 3)}) == Verdict::underpowered);
  CHECK(verdict({measure(2, 0.1, 1, kInf), measure(-2, 0.1, -kInf, -1)}) == Verdict::reproduced);
  CHECK(verdict({exact(0.3, -kInf, 0.33)}) == Verdict::reproduced);
  CHECK(verdict({exact(0.34, -kInf, 0.33)}) == Verdict::contradicted);  // an exact number covers nothing else
}

TEST_CASE("outside the band, the effect against its null decides") {
  CHECK(verdict({measure(0.5, 0.05, 1, kInf, 0)}) == Verdict::partial);
  CHECK(verdict({measure(-0.5, 0.05, 1, kInf, 0)}) == Verdict::contradicted);
  CHECK(verdict({measure(0.02, 0.05, 1, kInf, 0, 0.5)}) == Verdict::not_at_this_scale);
  CHECK(verdict({measure(0.02, 0.5, 1, kInf, 0, 0.5)}) == Verdict::underpowered);
  // An effect that lowers a number.
  CHECK(verdict({measure(0.5, 0.02, -kInf, 0.1, 1)}) == Verdict::partial);
  CHECK(verdict({measure(1.5, 0.02, -kInf, 0.1, 1)}) == Verdict::contradicted);
}

TEST_CASE("of several measures the worst decides") {
  const Measure good = measure(2, 0.1, 1, 3);
  CHECK(verdict({good, measure(0.5, 0.05, 1, kInf, 0)}) == Verdict::partial);
  CHECK(verdict({good, measure(0.5, 5, 1, kInf, 0)}) == Verdict::underpowered);
  CHECK(verdict({measure(0.5, 5, 1, kInf, 0), measure(-1, 0.1, 1, kInf, 0)}) == Verdict::contradicted);
}

TEST_CASE("a control that misbehaves leaves nothing testable") {
  for (const bool planted : {true, false}) {
    const Finding f =
        judged({measure(2, 0.1, 1, 3)}, {{"good", true, true, ""}, {"bad one", planted, false, "seen"}});
    CHECK(f.verdict == Verdict::not_testable);
    CHECK_THAT(f.why, Contains("bad one") && Contains("seen"));
  }
}

TEST_CASE("what cannot be tested is said so, and takes no part in the family") {
  std::vector<Finding> findings(2);
  findings[0].untestable = "there is no outlier";
  findings[1].measures = {measure(2, 0.1, 1, 3)};
  judge(findings, kGood);
  CHECK(findings[0].verdict == Verdict::not_testable);
  CHECK(findings[0].why == "there is no outlier");
  CHECK(findings[1].verdict == Verdict::reproduced);
}

TEST_CASE("many claims need more certainty than one: Holm") {
  // 0.6% of the samples lie outside: enough for one claim at 1%, not for five of them.
  const Measure narrow = measure(0, 1, -2.75, kInf);
  CHECK(verdict({narrow}) == Verdict::reproduced);
  std::vector<Finding> findings(5);
  for (Finding& f : findings) f.measures = {narrow};
  judge(findings, kGood);
  for (const Finding& f : findings) CHECK(f.verdict == Verdict::underpowered);
  // The last of Holm's steps asks for no more than one claim alone does.
  for (std::size_t i = 1; i < findings.size(); ++i) findings[i].measures = {measure(0, 0.01, -2.75, kInf)};
  judge(findings, kGood);
  CHECK(findings[0].verdict == Verdict::reproduced);
}

TEST_CASE("all claims together are reproduced only where each is") {
  const auto together = [](const std::vector<Verdict>& verdicts) {
    std::vector<Finding> findings(verdicts.size());
    for (std::size_t i = 0; i < verdicts.size(); ++i) findings[i].verdict = verdicts[i];
    return overall(findings);
  };
  CHECK(together({Verdict::reproduced, Verdict::reproduced}) == Verdict::reproduced);
  CHECK(together({Verdict::reproduced, Verdict::not_testable}) == Verdict::partial);
  CHECK(together({Verdict::partial, Verdict::contradicted}) == Verdict::partial);
  CHECK(together({Verdict::underpowered, Verdict::contradicted}) == Verdict::contradicted);
  CHECK(together({Verdict::underpowered, Verdict::not_at_this_scale}) == Verdict::not_at_this_scale);
  CHECK(together({Verdict::not_testable, Verdict::underpowered}) == Verdict::underpowered);
  CHECK(together({Verdict::not_testable}) == Verdict::not_testable);
}

TEST_CASE("names of verdicts are those of the rules") {
  CHECK(name_of(Verdict::not_at_this_scale) == "NOT AT THIS SCALE");
  CHECK(name_of(Verdict::not_testable) == "NOT TESTABLE");
}
