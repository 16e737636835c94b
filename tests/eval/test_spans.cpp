#include "eval/spans.hpp"

#include <fstream>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::eval;
using Catch::Contains;

namespace {

Spans read(const TemporaryFolder& folder, const std::string& text) {
  std::ofstream(folder.path() / "s.jsonl") << text;
  return Spans::read(folder.path() / "s.jsonl", 100);
}

}  // namespace

TEST_CASE("spans are found by the tokens that they hold") {
  const TemporaryFolder folder;
  const Spans spans = read(folder,
                           "{\"begin\": 50, \"end\": 60, \"name\": \"late\"}\n\n"
                           "{\"begin\": 0, \"end\": 40, \"name\": \"long\", \"id\": 7}\n"
                           "{\"begin\": 2, \"end\": 3, \"name\": \"late\"}\r\n"
                           "{\"begin\": 60, \"end\": 100, \"name\": \"late\"}");
  CHECK(spans.count() == 4);
  CHECK(spans.names() == std::vector<std::string>{"late", "long"});
  const auto found = [&](std::uint64_t begin, std::uint64_t end) {
    std::string text;
    spans.for_each_in(begin, end, [&](const Span& s, std::size_t) {
      text += std::to_string(s.begin) + "-" + std::to_string(s.end) + " ";
    });
    return text;
  };
  CHECK(found(0, 2) == "0-40 ");
  CHECK(found(2, 3) == "0-40 2-3 ");
  CHECK(found(39, 50) == "0-40 ");
  CHECK(found(40, 50) == "");
  CHECK(found(59, 61) == "50-60 60-100 ");
  CHECK(Spans().count() == 0);
  CHECK(read(folder, "\xEF\xBB\xBF{\"begin\": 0, \"end\": 4, \"name\": \"a\"}\n").count() == 1);
}

TEST_CASE("bad spans are refused with line and field") {
  const TemporaryFolder folder;
  const std::string good = R"({"begin": 5, "end": 9, "name": "a"})"
                           "\n";
  const std::pair<std::string, std::string> cases[] = {
      {R"({"begin": 5, "end": 5, "name": "a"})", "s.jsonl:2': span [5, 5) must hold a token"},
      {R"({"begin": 90, "end": 101, "name": "a"})", "lie in [0, 100)"},
      {R"({"begin": -1, "end": 4, "name": "a"})", "span [-1, 4)"},
      {R"({"begin": 8, "end": 12, "name": "a"})",
       "s.jsonl', line 2: span [8, 12) of 'a' overlaps [5, 9) of line 1"},
      {R"({"begin": 10, "name": "a"})", "'end' is not there"},
      {R"({"begin": 1.5, "end": 4, "name": "a"})", "'begin' is not a whole number"},
      {R"({"begin": 20, "end": 24, "name": 3})", "'name' is not a string"},
      {R"({"begin": 20, "end": 24, "name": ""})", "s.jsonl:2': 'name' is empty"},
      {R"([1, 2])", "not a JSON object"},
      {R"({"begin": 20, "end")", "no valid JSON"},
      {R"({"begin": 20, "begin": 21, "end": 24, "name": "a"})", "twice"},
      {R"({"begin": 18446744073709551615, "end": 24, "name": "a"})", "'begin' is not a whole number"},
  };
  for (const auto& [line, message] : cases) {
    INFO(line);
    CHECK_THROWS_WITH(read(folder, good + line), Contains(message) && Contains("s.jsonl"));
    CHECK_THROWS_AS(read(folder, good + line), InputError);
  }
  CHECK_THROWS_AS(Spans::read(folder.path() / "absent", 5), InputError);
  for (const char* text : {"", "\n \n"}) CHECK_THROWS_WITH(read(folder, text), Contains("has no spans"));
}
