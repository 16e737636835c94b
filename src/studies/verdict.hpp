// What a study says of a claim, from numbers whose acceptance was set before they were measured.
//
//   REPRODUCED         every measure lies in its band with its whole interval, and the controls behaved
//   PARTIAL            the sign is right with its interval, the number is not in the band; or part of what is asked for shows and part fails
//   NOT AT THIS SCALE  the effect is absent, or smaller than what counts as one, and a planted control shows that it would have been seen
//   CONTRADICTED       the intervals lie on the other side of the null, or beyond what falsifies the claim
//   UNDERPOWERED       an interval covers both; the reason says how much more of the same would decide
//   NOT TESTABLE       what the claim is about is not there: nothing was measured, or a control misbehaved
//
// Intervals have one side, away from what they exclude, and hold together at 99% over the claims of a study. Where all measures of a claim
// must say the same (REPRODUCED by Holm 1979 over the claims, CONTRADICTED, NOT AT THIS SCALE and PARTIAL by Bonferroni) the worst of them
// counts (intersection-union, Berger 1982); where some show and some fail, the level is divided by their number too. So many `samples` must
// be there: one p-value of n samples is at least 1 / (n + 1), and at most 0.01 / (claims x measures) is asked for.
#pragma once
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace loglog::studies {

enum class Verdict { reproduced, partial, not_at_this_scale, contradicted, underpowered, not_testable };
std::string_view name_of(Verdict verdict);  // "NOT AT THIS SCALE"

// A number and what is asked of it. It is
//   met      in the band, and off `null` where there is one;
//   against  beyond `falsified`; where there is none, on the other side of `null`;
//   absent   less than `least` from `null`, or on its other side;
//   there    on the right side of `null` (of `falsified` where there is no null), and not met;
//   outside  not in the band, of a measure that has only a band: the number is not what was asked for, and contradicts nothing.
struct Measure {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::string name;
  double value = kNone;
  std::vector<double> samples;  // of its sampling distribution (bootstrap); empty where it is exact
  double undefined = 0;         // share of resamples that are no number: they speak against whatever is asked
  double low = -kInfinity, high = kInfinity;  // the band
  double null = kNone;       // the value without the effect; none for a measure that only has a band
  double least = 0;          // distance from `null` below which an effect does not count
  double falsified = kNone;  // outside the band: a number still farther out contradicts the claim

  double quantile(double p) const;  // of the samples; `value` where it is exact
};

struct Claim {
  std::string id;     // "C1"
  std::string text;   // what the source says, in a sentence
  std::string rule;   // what is asked for here, in words
  std::string paper;  // its figure at the scale of the source; never compared
};

struct Finding {
  Claim claim;
  std::vector<Measure> measures;
  std::string untestable;  // why the claim cannot be tested at all; empty where it can
  bool single_run =
      false;  // rests on one run of the largest size, whose noise nobody measured: at most PARTIAL
  Verdict verdict = Verdict::not_testable;
  std::string why;
};

// One where the effect is built in, or one where it cannot be.
struct Control {
  std::string name;
  bool planted = false;  // else a null
  bool behaved = false;  // found where planted, silent where null
  std::string text;      // what was seen
};

inline constexpr double kFamilyError = 0.01;

// Claims that share kFamilyError: those that something was measured for.
std::size_t claims_judged(const std::vector<Finding>& findings);

// Fills in verdicts and reasons. Where a control misbehaved, every claim is NOT TESTABLE; so is one without measures.
void judge(std::vector<Finding>& findings, const std::vector<Control>& controls);

// Of all claims together: REPRODUCED where each is, else PARTIAL where one is or shows its effect, else the first of CONTRADICTED, NOT AT
// THIS SCALE, UNDERPOWERED and NOT TESTABLE that occurs; NOT TESTABLE without claims.
Verdict overall(const std::vector<Finding>& findings);

}  // namespace loglog::studies
