#include "infer/stop_text.hpp"

#include "support/catch.hpp"

using loglog::infer::StopText;

namespace {

// The text in pieces of n bytes, as far as it comes through, with a bar where it ended by itself.
std::string through(const std::string& stop, const std::string& text, std::size_t n) {
  StopText filter(stop);
  std::string out;
  for (std::size_t i = 0; i < text.size() && !filter.found(); i += n) out += filter.add(text.substr(i, n));
  if (!filter.found()) out += filter.rest() + "|";
  return out;
}

}  // namespace

TEST_CASE("a text ends in front of the stop text, however it is cut") {
  for (std::size_t n = 1; n <= 12; ++n) {
    CAPTURE(n);
    CHECK(through("END", "one ENEND two END", n) == "one EN");
    CHECK(through("aab", "aaab", n) == "a");
    CHECK(through("\n\n", "a\nb\n", n) == "a\nb\n|");
    CHECK(through("", "all of it", n) == "all of it|");
    CHECK(through("x", "x", n) == "");
  }
}

TEST_CASE("only what may begin the stop text is held back") {
  StopText filter("END");
  CHECK(filter.add("the ") == "the ");
  CHECK(filter.add("E") == "");
  CHECK(filter.add("N") == "");
  CHECK(filter.add("x") == "ENx");
  CHECK(filter.add("yE") == "y");
  CHECK(filter.rest() == "E");
  CHECK(filter.rest() == "");
}
