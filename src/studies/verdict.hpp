// What a study says of a claim, from numbers whose acceptance was set before they were measured.
//
// A claim holds where all its measures lie in the bands that were asked for, at a family-wise error of 1% over the claims of a study
// (Holm 1979); of one claim the worst measure counts (intersection-union, Berger 1982).
#pragma once
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace loglog::studies {

enum class Verdict { reproduced, partial, not_at_this_scale, contradicted, underpowered, not_testable };
std::string_view name_of(Verdict verdict);  // "NOT AT THIS SCALE"

// A number and what is asked of it.
struct Measure {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::string name;
  double value = kNone;
  std::vector<double> samples;  // of its sampling distribution (bootstrap); empty where it is exact
  double low = -kInfinity, high = kInfinity;  // the band
  double null = kNone;  // the value without the effect; none for a measure that only has a band
  double least = 0;     // distance from `null` below which an effect does not count

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

// Fills in verdicts and reasons. Where a control misbehaved, every claim is NOT TESTABLE.
void judge(std::vector<Finding>& findings, const std::vector<Control>& controls);

// Of all claims together: REPRODUCED where each is, else PARTIAL where one is or shows its effect, else the first of CONTRADICTED, NOT AT
// THIS SCALE, UNDERPOWERED and NOT TESTABLE that occurs.
Verdict overall(const std::vector<Finding>& findings);

}  // namespace loglog::studies
