// Numbers of pages, as one reads them.
#include "studies/format.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace loglog::studies;

TEST_CASE("numbers have significant digits, and what is none a dash") {
  CHECK(number(0.123456) == "0.123");
  CHECK(number(1234.56, 5) == "1234.6");
  CHECK(number(std::nan("")) == "-");
  CHECK(percent(0.0005) == "0.05%");
  CHECK(percent(0.99433, 4) == "99.43%");
  CHECK(percent(std::nan("")) == "-");
}

TEST_CASE("an interval holds 95% of the samples, in the unit that is asked for") {
  Measure m;
  m.value = 0.5;
  CHECK(with_interval(m) == "0.5");  // exact
  for (int i = 0; i <= 1000; ++i) m.samples.push_back(i / 1000.0);
  CHECK(with_interval(m) == "0.5 [0.025, 0.975]");
  CHECK(with_interval(m, 2, 0.01) == "50 [2.5, 98]");
  m.undefined = 0.25;
  CHECK(with_interval(m) == "0.5 [0.025, 0.975], no number in 25% of resamples");
}
