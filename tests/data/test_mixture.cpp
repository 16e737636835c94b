// The order of a mixture: shares within one window for every stretch, and weights that are refused.
#include "data/mixture.hpp"

#include <cmath>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

TEST_CASE("every source has its share up to less than one window, wherever one looks") {
  const std::vector<std::vector<std::uint64_t>> cases = {{1},
                                                         {1, 1},
                                                         {7, 3},
                                                         {70, 20, 10},
                                                         {1, 999},
                                                         {5, 0, 2, 3, 11},
                                                         {13, 17, 19, 23, 29, 31},
                                                         {1000, 1, 1, 1, 1}};
  for (const auto& weights : cases) {
    const Mixture mixture(weights);
    double sum = 0;
    for (const std::uint64_t w : weights) sum += static_cast<double>(w);
    std::vector<std::uint64_t> given(weights.size());
    for (std::uint64_t i = 0; i < 3000; ++i) {
      const Mixture::Place place = mixture.at(i);
      REQUIRE(place.number == given[place.source]++);
      for (std::size_t k = 0; k < weights.size(); ++k) {
        const double share = static_cast<double>(weights[k]) / sum * static_cast<double>(i + 1);
        REQUIRE(std::abs(static_cast<double>(given[k]) - share) < 1 - 1e-9);
      }
    }
    for (std::size_t k = 0; k < weights.size(); ++k)
      REQUIRE(mixture.share(k) == Approx(static_cast<double>(weights[k]) / sum));
  }
}

TEST_CASE("weights are decimal numbers in any unit, of sources that there are") {
  const std::vector<Source> sources = {{"web", 0, 1, 1}, {"code", 1, 2, 1}, {"a=b", 2, 3, 1}};
  const Mixture mixture = Mixture::parse("web=0.75,a=b=.25", sources);
  CHECK(mixture.share(0) == 0.75);
  CHECK(mixture.share(1) == 0);
  CHECK(mixture.share(2) == 0.25);
  const Mixture thirds = Mixture::parse("web=2,code=1", sources);
  CHECK(thirds.share(0) == Approx(2.0 / 3));
  const auto refuse = [&](const char* text, const char* message) {
    INFO(text);
    CHECK_THROWS_AS(Mixture::parse(text, sources), UsageError);
    CHECK_THROWS_WITH(Mixture::parse(text, sources), Contains(message));
  };
  refuse("wbe=1", "did you mean 'web'");
  refuse("web", "name=weight");
  refuse(",web=1", "name=weight");
  refuse("web=1,web=2", "comes twice");
  for (const char* bad :
       {"web=", "web=0", "web=0.0", "web=-1", "web=1e3", "web=0.1234567", "web=1000000", "web=nan", "web=."})
    refuse(bad, "must be a number");
  refuse("web=0.999983,code=0.000017,a=b=1.5", "even only after 2500000 windows");
}
