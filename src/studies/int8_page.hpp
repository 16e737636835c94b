// Tables and pictures of the study `int8`.
#pragma once
#include "studies/int8_measures.hpp"
#include "studies/int8_speed.hpp"
#include "studies/study.hpp"

namespace loglog::studies {

// All that was measured.
struct Int8Findings {
  std::vector<Int8Natural> natural;
  std::vector<Int8Planted> planted;
  std::vector<Int8Speed> speed;
  std::string protocol;        // how losses were measured
  double bytes_per_token = 1;  // of the text
};

// Beside what is judged: what decomposition costs as published, in the facts, the tables and the figures.
void add_page(const Int8Findings& found, Result& result);

}  // namespace loglog::studies
