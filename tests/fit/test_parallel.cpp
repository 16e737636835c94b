#include "fit/parallel.hpp"

#include <omp.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "support/catch.hpp"

using namespace loglog::fit;

TEST_CASE("every piece is done once, on any number of threads") {
  for (const int threads : {0, 1, 2, 5}) {
    for (const int count : {0, 1, 3, 100}) {
      std::vector<int> done(static_cast<std::size_t>(count));
      for_each_index(threads, count, [&](int i) { ++done[static_cast<std::size_t>(i)]; });
      REQUIRE(done == std::vector<int>(done.size(), 1));
    }
  }
}

TEST_CASE("an exception of a piece comes out of the call") {
  for (const int threads : {1, 3}) {
    const auto fails = [&](int at) {
      for_each_index(threads, 100, [at](int i) {
        if (i == at) throw std::bad_alloc();
      });
    };
    for (const int at : {0, 57, 99}) REQUIRE_THROWS_AS(fails(at), std::bad_alloc);
  }
  REQUIRE_THROWS_AS(for_each_index(3, 100, [](int) { throw std::runtime_error("all"); }), std::runtime_error);
}

TEST_CASE("one thread, or one piece, enters no parallel region") {
  int level = -1;
  for_each_index(1, 1, [&](int) { level = omp_get_level(); });
  REQUIRE(level == 0);
  for_each_index(8, 1, [&](int) { level = omp_get_level(); });
  REQUIRE(level == 0);
}
