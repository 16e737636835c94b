// From which width on LLM.int8() pays: products of one linear layer in float32, bfloat16 and int8, by width.
#pragma once
#include <optional>
#include <vector>

#include "studies/study.hpp"

namespace loglog::studies {

// Of one width C: rows through (C, 4C), some of their channels outliers, weights packed before. Milliseconds of every round.
struct WidthTimes {
  kernels::Index width;
  std::vector<double> f32, bf16, int8;
};

struct Int8Speed {
  std::string isa;
  kernels::Index rows, outliers;   // channels that are outliers
  std::vector<WidthTimes> widths;  // ascending

  Table table() const;
};

// Interleaved, round by round, for every instruction set with vectors that this CPU has: first the workplace's, then the others, best
// first. Rows, widths, outliers and rounds are the manifest's `speed_...`. Nothing when a signal came.
std::optional<std::vector<Int8Speed>> measure_int8_speed(const Workplace& workplace,
                                                         const Manifest& manifest);

// The width from which on int8 is faster than the other one at every width measured, between two of them on logarithmic axes: "about 117",
// "below 64", "above 4096".
std::string crossover(const std::vector<WidthTimes>& widths, std::vector<double> WidthTimes::*other);

// How many times as fast as float32 int8 is at the largest width; and that over the same at the smallest. Of median times; samples: rounds
// drawn with replacement.
Finding pays(Claim claim, const Int8Speed& speed, const Manifest& manifest);
Finding pays_more(Claim claim, const Int8Speed& speed, const Manifest& manifest);

// From which widths on int8 is faster, by instruction set; and how many times as fast as float32 it is.
Table crossover_table(const std::vector<Int8Speed>& speeds);
report::Figure speed_figure(const std::vector<Int8Speed>& speeds);

}  // namespace loglog::studies
