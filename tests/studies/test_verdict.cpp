// Verdicts from numbers whose distribution is known.
#include "studies/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/rng.hpp"
#include "base/stats.hpp"
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
  constexpr int kSamples = 4000;
  for (int i = 0; i < kSamples; ++i) m.samples.push_back(value + sd * normal_quantile((i + 0.5) / kSamples));
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
  // The effect must be there: a band that begins at the null does not hold it.
  CHECK(verdict({exact(0, 0, kInf, 0)}) == Verdict::underpowered);
  CHECK(verdict({exact(0.1, 0, kInf, 0)}) == Verdict::reproduced);
}

TEST_CASE("a number outside a band that is all there is contradicts nothing") {
  CHECK(verdict({exact(0.34, -kInf, 0.33)}) == Verdict::partial);
  CHECK(verdict({measure(1.35, 0.01, 0.8, 1.3)}) == Verdict::partial);
  CHECK(verdict({measure(1.29, 0.01, 0.8, 1.3)}) == Verdict::underpowered);
  CHECK_THAT(judged({measure(1.35, 0.01, 0.8, 1.3)}).why, Contains("outside the band"));
}

TEST_CASE("beyond what falsifies it a claim is contradicted, short of that it is not") {
  const auto rise = [](double value, double sd) {
    Measure m = measure(value, sd, -kInf, 0.0005);
    m.falsified = 0.01;
    return m;
  };
  CHECK(verdict({rise(0.0004, 1e-5)}) == Verdict::reproduced);
  CHECK(verdict({rise(0.0006, 1e-5)}) == Verdict::partial);
  CHECK(verdict({rise(0.0005, 1e-4)}) == Verdict::partial);  // covers the band's end, and not what falsifies
  CHECK(verdict({rise(0.02, 1e-4)}) == Verdict::contradicted);
  CHECK(verdict({rise(0.0102, 1e-3)}) == Verdict::underpowered);
  CHECK(verdict({rise(0.0001, 0.1)}) == Verdict::underpowered);
  // Below a band, and with a null of its own: between the two the effect is absent and nothing contradicted.
  Measure m = measure(-0.1, 0.01, 1, kInf, 0, 0.2);
  CHECK(verdict({m}) == Verdict::contradicted);
  m.falsified = -1;
  CHECK(verdict({m}) == Verdict::not_at_this_scale);
  m = measure(-1.1, 0.01, 1, kInf, 0, 0.2), m.falsified = -1;
  CHECK(verdict({m}) == Verdict::contradicted);
}

TEST_CASE("outside the band, the effect against its null decides") {
  CHECK(verdict({measure(0.5, 0.05, 1, kInf, 0)}) == Verdict::partial);
  CHECK(verdict({measure(-0.5, 0.05, 1, kInf, 0)}) == Verdict::contradicted);
  CHECK(verdict({measure(0.02, 0.05, 1, kInf, 0, 0.5)}) == Verdict::not_at_this_scale);
  CHECK(verdict({measure(0.02, 0.5, 1, kInf, 0, 0.5)}) == Verdict::underpowered);
  CHECK(verdict({measure(1.1, 0.04, 2, kInf, 1, 0.41)}) == Verdict::not_at_this_scale);
  // An effect that lowers a number.
  CHECK(verdict({measure(0.5, 0.02, -kInf, 0.1, 1)}) == Verdict::partial);
  CHECK(verdict({measure(1.5, 0.02, -kInf, 0.1, 1)}) == Verdict::contradicted);
  // Of a band with two ends, the null stands on one side.
  CHECK(verdict({measure(3, 0.1, 1.6, 2.4, 0)}) == Verdict::partial);
  CHECK(verdict({measure(-3, 0.1, 1.6, 2.4, 0)}) == Verdict::contradicted);
}

TEST_CASE("an effect is absent only where a planted one was seen") {
  const Measure absent = measure(0.02, 0.05, 1, kInf, 0, 0.5);
  CHECK(judged({absent}, kGood).verdict == Verdict::not_at_this_scale);
  const Finding f = judged({absent}, {{"null", false, true, "silent"}});
  CHECK(f.verdict == Verdict::underpowered);
  CHECK_THAT(f.why, Contains("nothing planted"));
}

TEST_CASE("of several measures all decide, in any order") {
  const Measure met = measure(2, 0.1, 1, 3, 0, 0.1), there = measure(0.5, 0.05, 1, kInf, 0, 0.1);
  const Measure absent = measure(0.02, 0.01, 1, kInf, 0, 0.1), against = measure(-0.5, 0.05, 1, kInf, 0, 0.1);
  const Measure unsure = measure(0.5, 5, 1, kInf, 0, 0.1), outside = measure(1.35, 0.01, 0.8, 1.3);
  struct Case {
    std::vector<Measure> measures;
    Verdict verdict;
  };
  for (const Case& c : std::vector<Case>{
           {{met, there}, Verdict::partial},
           {{met, met, met, met, met, against}, Verdict::partial},
           {{met, absent}, Verdict::partial},
           {{there, against}, Verdict::partial},
           {{met, outside}, Verdict::partial},
           {{outside, outside}, Verdict::partial},
           {{against, against}, Verdict::contradicted},
           {{against, outside}, Verdict::contradicted},
           {{absent, absent}, Verdict::not_at_this_scale},
           {{absent, outside}, Verdict::not_at_this_scale},
           {{absent, against}, Verdict::not_at_this_scale},  // what goes the other way is not there either
           {{met, unsure}, Verdict::underpowered},
           {{there, unsure}, Verdict::underpowered},
           {{against, unsure}, Verdict::underpowered},
           {{absent, unsure}, Verdict::underpowered},
           {{outside, unsure}, Verdict::underpowered},
           {{met, unsure, against}, Verdict::partial},  // however the second turns out
           {{met, unsure, outside}, Verdict::partial},
       }) {
    std::vector<Measure> backwards = c.measures;
    std::ranges::reverse(backwards);
    const Finding f = judged(c.measures);
    INFO(name_of(c.verdict) << ", found: " << f.why);
    CHECK(f.verdict == c.verdict);
    CHECK(verdict(backwards) == c.verdict);
  }
  const Finding f = judged({met, met, absent, against});
  CHECK_THAT(f.why, Contains("2 of 4 inside") && Contains("-0.5") &&
                        Contains("the opposite, on the other side of 0"));
  CHECK_THAT(judged({met, unsure}).why, Contains("1 of 2 inside") && Contains("covers both"));
}

TEST_CASE("what would settle an unsure claim is said") {
  // One-sided at 1%: 2.326 standard deviations. 0.02 is 0.48 away from the smallest effect, nearer than from its null: (2.326 * 0.5 / 0.48)^2.
  CHECK_THAT(judged({measure(0.02, 0.5, 1, kInf, 0, 0.5)}).why, Contains("about 5.8 times"));
  CHECK_THAT(judged({measure(0.8, 0.5, 1, kInf, 0, 0.5)}).why, Contains("about 2.1 times"));  // from its null
  CHECK_THAT(judged({measure(2, 1, 1, 4)}).why,
             Contains("about 5.4 times"));  // from the nearer end of the band
  Measure m = measure(0.011, 0.01, -kInf, 0.0005);
  m.falsified = 0.016;
  CHECK_THAT(judged({m}).why, Contains("about 22 times"));
  CHECK_THAT(judged({exact(1, 1, kInf, 1)}).why, Contains("would not settle it"));
  m.undefined = 0.34;
  CHECK_THAT(judged({m}).why, Contains("would not settle it"));
  CHECK_THAT(judged({measure(0, 1, 1, kInf, 0)}).why, Contains("would not settle it"));  // where its null is
}

TEST_CASE("a reason gives the interval that decided and the two things that it covers") {
  // One claim: 1% at either end, 2.326 standard deviations.
  CHECK_THAT(judged({measure(0.3, 0.2, 1, kInf, 0, 0.5)}).why,
             Contains("m is 0.3, 98% interval -0.16") && Contains(" to 0.76") &&
                 Contains("asked for at least 1: ") &&
                 Contains("covers both 0, no effect, and 0.5, from which on an effect counts"));
  CHECK_THAT(judged({measure(0.3, 0.2, 1, kInf, 0)}).why, Contains("covers both sides of 0, no effect"));
  CHECK_THAT(judged({measure(0.5, 0.3, -kInf, 0.1, 1, 0.4)}).why,
             Contains("covers both 1, no effect, and 0.6,"));
  CHECK_THAT(judged({measure(1.29, 0.01, 0.8, 1.3)}).why,
             Contains("98% interval 1.26") && Contains(" to 1.31") &&
                 Contains("neither surely in that band nor surely"));
  Measure m = measure(0.011, 0.01, -kInf, 0.0005);
  m.falsified = 0.016;
  CHECK_THAT(judged({m}).why, Contains("covers both sides of 0.016, beyond which the claim is false"));
  CHECK_THAT(judged({measure(0.02, 0.05, 1, kInf, 0, 0.5)}).why,
             Contains("98% interval -0.09") && Contains("less than 0.5, from which on an effect counts"));
  // What is no matter of intervals says so.
  m = measure(0.3, 0.2, 1, kInf, 0), m.undefined = 0.34;
  CHECK_THAT(judged({m}).why, Contains("34% of its resamples are no number") && !Contains("interval"));
  m.undefined = 0, m.samples.resize(50);
  CHECK_THAT(judged({m}).why, Contains("its 50 resamples are too few") && !Contains("interval"));
  m.value = Measure::kNone;
  CHECK_THAT(judged({m}).why, Contains("m is nan") && Contains(": no number"));
  CHECK_THAT(judged({exact(0, 0, kInf, 0)}).why, Contains("exactly where what is asked for begins"));
  // Of several measures that disagree, each has its share: 0.5% at either end.
  CHECK_THAT(judged({measure(2, 0.1, 1, 3, 0, 0.1), measure(0.5, 5, 1, kInf, 0, 0.1)}).why,
             Contains("99% interval -12.4") && Contains(" to 13.4"));
}

// What is not excluded is what the interval holds, to the sample.
TEST_CASE("an interval ends where a verdict changes") {
  Measure m = measure(0.3, 0.2, 1, kInf, 0);
  std::vector<double> sorted = m.samples;
  std::ranges::sort(sorted);
  const std::size_t last = 39;  // of 4000 samples, 40.01 are 1%: so many and one make a p-value of at most 1%
  const auto with_null = [&](double null) {
    Measure moved = m;
    moved.null = null;
    return judged({moved});
  };
  CHECK(with_null(sorted[last] - 1e-9).verdict == Verdict::partial);
  const Finding unsure = with_null(sorted[last]);
  CHECK(unsure.verdict == Verdict::underpowered);
  CHECK_THAT(unsure.why, Contains(fmt::format("interval {:.4g} to", sorted[last])));
}

TEST_CASE("many measures need more certainty than one where part of them is to fail") {
  // Twelve measures, of which one is met and eleven are at their null, estimated without bias.
  constexpr int kSamples = 2500, kRuns = 500, kMeasures = 12;
  std::vector<double> normal;
  for (int i = 0; i < kSamples; ++i) normal.push_back(normal_quantile((i + 0.5) / kSamples));
  const Rng rng(7, 1);
  int divided = 0, nulls_decided = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<Measure> nulls;
    for (int i = 0; i < kMeasures; ++i) {
      Measure& m =
          nulls.emplace_back(exact(rng.normal(static_cast<std::uint64_t>(run * kMeasures + i)), 9, kInf, 0));
      for (const double z : normal) m.samples.push_back(m.value + z);
    }
    nulls_decided += verdict(nulls) != Verdict::underpowered;
    nulls[0] = exact(10, 9, kInf, 0);
    divided += verdict(nulls) != Verdict::underpowered;
  }
  // 1% of 500, and four standard deviations of that.
  CHECK(divided <= 14);
  CHECK(nulls_decided <= 14);
}

TEST_CASE("resamples that are no number speak against whatever is asked") {
  Measure m = measure(2, 0.1, 1, 3, 0);
  CHECK(verdict({m}) == Verdict::reproduced);
  m.undefined = 0.34;
  CHECK(verdict({m}) == Verdict::underpowered);
  m.samples.clear(), m.undefined = 1;  // none is left, and yet the number is not exact
  CHECK(verdict({m}) == Verdict::underpowered);
  m = measure(-2, 0.1, 1, 3, 0), m.undefined = 0.34;
  CHECK(verdict({m}) == Verdict::underpowered);
  m = measure(2, 0.1, 1, 3, 0), m.value = Measure::kNone;
  CHECK(verdict({m}) == Verdict::underpowered);
  m = measure(2, 0.1, 1, 3, 0);
  for (std::size_t i = 0; i < m.samples.size(); i += 3) m.samples[i] = Measure::kNone;
  CHECK(verdict({m}) == Verdict::underpowered);
}

TEST_CASE("a claim that rests on a single run is partial at best") {
  std::vector<Finding> findings(2);
  for (Finding& f : findings) f.single_run = true;
  findings[0].measures = {measure(2, 0.1, 1, 3)}, findings[1].measures = {measure(-2, 0.1, 1, 3, 0)};
  judge(findings, kGood);
  CHECK(findings[0].verdict == Verdict::partial);
  CHECK_THAT(findings[0].why, Contains("single run"));
  CHECK(findings[1].verdict == Verdict::contradicted);
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
  std::vector<Finding> findings(3);
  findings[0].untestable = "there is no outlier";
  // 0.7% of the samples lie on the other side: enough for one claim at 1%, not for two.
  findings[1].measures = {measure(-2.45, 1, 1, kInf, 0)};
  judge(findings, kGood);
  CHECK(findings[0].verdict == Verdict::not_testable);
  CHECK(findings[0].why == "there is no outlier");
  CHECK(findings[1].verdict == Verdict::contradicted);
  CHECK(findings[2].verdict == Verdict::not_testable);
  CHECK(findings[2].why == "nothing was measured");
  findings[2].measures = {exact(2, 1, 3)};
  judge(findings, kGood);
  CHECK(findings[1].verdict == Verdict::underpowered);
}

TEST_CASE("many claims need more certainty than one: Holm") {
  // 0.3% of the samples lie outside: enough for one claim at 1%, not for five of them.
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
  CHECK(together({}) == Verdict::not_testable);
}

TEST_CASE("names of verdicts are those of the rules") {
  CHECK(name_of(Verdict::not_at_this_scale) == "NOT AT THIS SCALE");
  CHECK(name_of(Verdict::not_testable) == "NOT TESTABLE");
}
