// Do approaches 1, 2 and 3 disagree about the exponent a of N_opt ~ C^a by more than noise explains?
//
// They read the same runs, so that their errors go together, and how much follows from no formula. Losses are made anew: those of the law plus
// noise, the same draw for all three. The spread of the differences over the draws is what noise alone makes; their middle is what the
// approaches differ by even where the law holds (a parabola is not the law, an envelope takes the least of noisy losses).
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fit/surface.hpp"

namespace loglog::fit {

struct DisagreementOptions {
  std::optional<double> delta = std::nullopt;  // of the law's fit
  int sides = 2;                               // approach 2: sizes on each side of a minimum
  std::string sigma = {};  // relative seed noise, a formula in N; empty: the law's residuals
  int resamples = 400;
  std::uint64_t seed = 1;
  int threads = 1;
};

struct Approach {
  std::string name;     // "envelope", "isoflop", and that of the law
  double a = 0;         // all budgets weigh the same
  std::string refusal;  // why it has none
  int lost = 0;         // resamples in which it had none
};

// What the exponents become where losses are made anew.
struct ApproachSamples {
  std::vector<Approach> approaches;
  std::vector<std::vector<double>>
      samples;        // [approach][resample]; NaN where it had none; empty where it is refused
  double t = 0;       // of 95% intervals: Student's, by the degrees of freedom behind the noise
  std::string noise;  // in words
  std::vector<std::string> warnings;
};

struct Difference {
  std::string first, second;
  double value = 0;           // a of the first less that of the second
  double low = 0, high = 0;   // 95% by joint sampling error
  double expected = 0;        // where the law holds
  bool beyond_noise = false;  // the interval is without 0
  bool unexplained = false;   // and without what is expected
  std::string in_words() const;
};

struct Disagreement {
  std::vector<Approach> approaches;
  std::vector<Difference> differences;  // of each pair that both have one
  double p_value =
      0;  // of all differences together, if the law holds and nothing but noise moves them; NaN of fewer than two approaches
  std::string noise;  // in words
  std::string verdict;
  std::vector<std::string> warnings;
};

// `runs` holds N, D, C; `law` is one of N and D with an optimum. UsageError for another one, InputError where fewer than two approaches can be
// used or the law is not identified.
Disagreement disagreement(const Law& law, const Runs& runs, const DisagreementOptions& options);

// The same draws for all approaches. Errors as above, of too few approaches apart.
ApproachSamples resample_approaches(const Law& law, const Runs& runs, const DisagreementOptions& options);

// {approaches: [{name, a, refused, lost}], differences: [{first, second, value, lo, hi, expected, beyond_noise, unexplained, text}], p_value,
// noise, verdict, warnings}
nlohmann::ordered_json to_json(const Disagreement& result);
std::string to_text(const Disagreement& result);

}  // namespace loglog::fit
