#include "train/fastest_threads.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace loglog;
using train::fastest_threads;

namespace {

// What it answers where so many threads have these rates, and which it asked about.
struct Rates {
  std::vector<double> by_threads;  // of 0, 1, 2, ... threads
  std::vector<int> asked = {};
  int fastest_of(int most) {
    return fastest_threads(1'000'000, most, [&](int threads) {
      asked.push_back(threads);
      return by_threads.at(static_cast<std::size_t>(threads));
    });
  }
};

}  // namespace

TEST_CASE("half as many threads are tried while that is faster") {
  Rates all_help{{0, 1, 2, 3, 4}};
  REQUIRE(all_help.fastest_of(4) == 4);
  REQUIRE(all_help.asked == std::vector<int>{4, 2});
  Rates half_helps{{0, 3, 5, 0, 4}};
  REQUIRE(half_helps.fastest_of(4) == 2);
  REQUIRE(half_helps.asked == std::vector<int>{4, 2, 1});
  Rates one_is_best{{0, 9, 8, 0, 0, 7}};
  REQUIRE(one_is_best.fastest_of(5) == 1);
  REQUIRE(one_is_best.asked == std::vector<int>{5, 2, 1});
  Rates no_difference{{0, 1, 1}};
  REQUIRE(no_difference.fastest_of(2) == 2);
}

TEST_CASE("where the answer is known or not worth the question, nothing is measured") {
  const auto never = [](int) -> double { throw std::logic_error("asked"); };
  REQUIRE(fastest_threads(1'000'000, 1, never) == 1);
  REQUIRE(fastest_threads(200 * train::kStepsPerRate - 1, 6, never) ==
          6);  // two rates are a hundredth of twice that
  REQUIRE_THROWS(fastest_threads(200 * train::kStepsPerRate, 6, never));
}
