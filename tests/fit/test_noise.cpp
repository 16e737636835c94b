#include "fit/noise.hpp"

#include <cmath>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::fit;

namespace {

// Cells go through eight sizes, 1e4 to 1.28e6.
std::vector<Replicate> simulate(int cells, int seeds) {
  std::vector<Replicate> replicates;
  const Rng rng(11, 0);
  for (int cell = 0; cell < cells; ++cell) {
    const double N = 1e4 * std::pow(2.0, cell % 8);
    for (int s = 0; s < seeds; ++s) {
      const double sd = 0.007 * std::pow(N / 1e4, -0.4);
      replicates.push_back(
          {cell, N, 3 * std::exp(sd * rng.normal(static_cast<std::uint64_t>(replicates.size())))});
    }
  }
  return replicates;
}

}  // namespace

TEST_CASE("size-dependent seed noise is recovered from repeats") {
  const auto noise = estimated_noise(simulate(8, 2000));
  REQUIRE(noise);
  REQUIRE(noise->degrees_of_freedom == 8 * 1999 - 1);
  REQUIRE(noise->sigma(1e4) == Approx(0.007).epsilon(0.03));
  REQUIRE(noise->sigma(1.28e6) == Approx(0.007 * std::pow(128, -0.4)).epsilon(0.03));
}

TEST_CASE("two seeds per cell give an unbiased size of the noise") {
  // The mean of ln chi^2_1 is -1.27: without its correction sigma would come out at 0.53 of the truth.
  const auto noise = estimated_noise(simulate(4000, 2));
  REQUIRE(noise);
  REQUIRE(noise->sigma(1e4) == Approx(0.007).epsilon(0.1));
}

TEST_CASE("too few repeats give a constant, or nothing") {
  REQUIRE(!estimated_noise(simulate(8, 1)));
  const auto noise = estimated_noise(simulate(2, 4));
  REQUIRE(noise);
  REQUIRE(noise->sigma(1e4) == noise->sigma(1e9));
}

TEST_CASE("given noise is evaluated at the size") {
  REQUIRE(given_noise("0.007*(N/12000)^-0.5", {12000}).sigma(48000) == Approx(0.0035));
  REQUIRE(given_noise("0.01", {1}).sigma(5) == 0.01);
}
