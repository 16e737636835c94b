// How long a list of runs takes on the clock.
#include "sweep/schedule.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace loglog::sweep;

namespace {

RunSpec run(const char* identity, double seconds, int threads = 1, const char* parent = "") {
  RunSpec spec;
  spec.identity = identity, spec.seconds = seconds, spec.threads = threads, spec.parent = parent;
  return spec;
}
double clock_of(const std::vector<RunSpec>& runs, int processors = 2) {
  constexpr double kStart = 0.3;  // of the workers of one number of threads
  return makespan(runs, processors) - kStart;
}

}  // namespace

TEST_CASE("the last run may have one processor for itself while the others idle") {
  CHECK(clock_of({run("a", 4), run("b", 3), run("c", 3)}) == Approx(6));
  CHECK(clock_of({run("a", 3), run("b", 3), run("c", 4)}) == Approx(6));  // the dearest goes first
  CHECK(clock_of({run("a", 10), run("b", 1), run("c", 1)}) == Approx(10));
  CHECK(clock_of({run("a", 4), run("b", 3), run("c", 3)}, 1) == Approx(10));
  CHECK(clock_of({run("a", 2), run("b", 2), run("c", 2), run("d", 2)}, 4) == Approx(2));
}

TEST_CASE("runs with all processors go one after the other, before those side by side") {
  CHECK(clock_of({run("a", 5, 2), run("b", 4, 2), run("c", 3), run("d", 3)}) - 0.3 == Approx(12));
}

TEST_CASE("a fork waits for its parent, unless that is done already") {
  CHECK(clock_of({run("trunk", 5), run("fork", 4, 1, "trunk"), run("other", 1)}) == Approx(9));
  CHECK(clock_of({run("fork", 4, 1, "done"), run("other", 1)}) == Approx(4));
}

TEST_CASE("nothing takes no time") {
  CHECK(makespan({}, 2) == 0);
}
