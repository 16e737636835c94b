// From which width on LLM.int8() pays: products of one linear layer in float32, bfloat16 and int8, by width.
#pragma once
#include <optional>
#include <vector>

#include "studies/study.hpp"

namespace loglog::studies {

// Of one width C: 512 rows through (C, 4C), six outlier channels, weights packed before. Milliseconds of every round.
struct WidthTimes {
  kernels::Index width;
  std::vector<double> f32, bf16, int8;
};

struct Int8Speed {
  std::string isa;
  std::vector<WidthTimes> widths;

  // Rates of int8 over float32 at the largest width, asked to be at least so much; and that over the ratio at the smallest.
  std::vector<Measure> measures(double least) const;
  Table table() const;
};

// Interleaved, round by round, for every instruction set with vectors that this CPU has: first the workplace's, then the others, best
// first. Nothing when a signal came.
std::optional<std::vector<Int8Speed>> measure_int8_speed(const Workplace& workplace, int rounds);

// From which widths on int8 is faster, by instruction set; and how many times as fast as float32 it is.
Table crossover_table(const std::vector<Int8Speed>& speeds);
report::Figure speed_figure(const std::vector<Int8Speed>& speeds);

}  // namespace loglog::studies
