#include "data/json_lines.hpp"

#include <fstream>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

namespace {

struct Seen {
  std::uint64_t number, offset;
  std::string text;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> lines_of(const std::string& content) {
  const TemporaryFolder folder;
  const Path path = folder.path() / "f.jsonl";
  std::ofstream(path, std::ios::binary) << content;
  std::vector<Seen> seen;
  const auto reader = open_text(path);
  for_each_json_line(*reader, path, [&](const JsonLine& line) {
    seen.push_back({line.number, line.offset, line.text("t")});
  });
  return seen;
}

}  // namespace

TEST_CASE("lines are numbered and located, blank ones left out, and the last needs no end") {
  CHECK(lines_of("{\"t\":\"a\"}\n\n \r\n{\"t\":\"b\"}") == std::vector<Seen>{{1, 0, "a"}, {4, 14, "b"}});
  CHECK(lines_of("").empty());
  const std::string longest(1 << 20, 'x');  // several chunks
  CHECK(lines_of("{\"t\":\"" + longest + "\"}\n{\"t\":\"b\"}\n") ==
        std::vector<Seen>{{1, 0, longest}, {2, longest.size() + 9, "b"}});
}

TEST_CASE("what is no object, and a field that is missing or no string, is refused by file, line and byte") {
  for (const auto& [line, message] :
       std::vector<std::pair<const char*, const char*>>{{"[1]", "expected a JSON object"},
                                                        {"{\"t\":1}", "field 't' is no string"},
                                                        {"{}", "has no field 't'"},
                                                        {"{\"t\":", "no valid JSON"},
                                                        {"{\"t\":\"\xff\"}", "no valid JSON"}}) {
    INFO(line);
    const std::string content = std::string("{\"t\":\"a\"}\n") + line + "\n";
    CHECK_THROWS_AS(lines_of(content), InputError);
    CHECK_THROWS_WITH(lines_of(content), Contains("f.jsonl' line 2 (byte 10)") && Contains(message));
  }
}
