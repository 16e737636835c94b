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
  std::size_t number;
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
    seen.push_back({line.number(), line.text("t")});
  });
  std::vector<Seen> again;  // of the same text at once
  for_each_json_line(content, path, [&](const JsonLine& line) {
    again.push_back({line.number(), line.text("t")});
  });
  CHECK(again == seen);
  return seen;
}

}  // namespace

TEST_CASE("lines are numbered, blank ones left out, and the last needs no end") {
  CHECK(lines_of("{\"t\":\"a\"}\n\n \r\n{\"t\":\"b\"}") == std::vector<Seen>{{1, "a"}, {4, "b"}});
  CHECK(lines_of("\xEF\xBB\xBF{\"t\":\"a\"}\n") ==
        std::vector<Seen>{{1, "a"}});  // as some editors begin a file
  CHECK(lines_of("").empty());
  const std::string longest(1 << 20, 'x');  // several chunks
  CHECK(lines_of("{\"t\":\"" + longest + "\"}\n{\"t\":\"b\"}\n") ==
        std::vector<Seen>{{1, longest}, {2, "b"}});
}

TEST_CASE("fields that nobody asks for may hold anything but more than 32 levels") {
  CHECK(lines_of("{\"n\":null,\"id\":18446744073709551615,\"l\":[[],{}],\"t\":\"a\"}") ==
        std::vector<Seen>{{1, "a"}});
  CHECK_THROWS_WITH(lines_of("{\"t\":\"a\",\"x\":" + std::string(100'000, '[')), Contains("levels"));
}

TEST_CASE("a line of any length takes no more memory than 64 MiB, packed or not") {
  CHECK_THROWS_WITH(lines_of("\n" + std::string((64 << 20) + 1, ' ')),
                    Contains("f.jsonl:2'") && Contains("more than 67108864 bytes"));
}

TEST_CASE("lists are known by their size, and nothing else passes for one") {
  const Path path = "f.jsonl";
  const JsonLine line(R"({"l":[5,"x"],"e":[],"o":{"0":5},"n":null,"t":"text","w":7})", path, 1);
  CHECK(line.list_size("l") == 2);
  CHECK(line.whole("l/0") == 5);
  CHECK(line.text("l/1") == "x");
  for (const char* field : {"e", "o", "n", "t", "absent"}) CHECK(line.list_size(field) == 0);
  for (const char* field : {"l", "e", "t", "w"}) CHECK(line.has(field));
  for (const char* field : {"o", "n", "absent"}) CHECK_FALSE(line.has(field));
  CHECK(line.has_text("t"));
  CHECK_FALSE(line.has_text("w"));
  CHECK_THROWS_WITH(line.whole("t"), Contains("'f.jsonl:1'") && Contains("'t' is not a whole number"));
}

TEST_CASE("what is no object, and a field that is missing or no string, is refused by file and line") {
  for (const auto& [line, message] :
       std::vector<std::pair<const char*, const char*>>{{"[1]", "not a JSON object"},
                                                        {"7", "not a JSON object"},
                                                        {"{\"t\":1}", "'t' is not a string"},
                                                        {"{\"t\":[\"a\"]}", "'t' is not there"},
                                                        {"{\"t\":null}", "'t' is not there"},
                                                        {"{}", "'t' is not there"},
                                                        {"{\"t\":\"a\",\"t\":\"b\"}", "twice at 't'"},
                                                        {"{\"t\":", "no valid JSON"},
                                                        {"{\"t\":\"\xff\"}", "no valid JSON"}}) {
    INFO(line);
    const std::string content = std::string("{\"t\":\"a\"}\n") + line + "\n";
    CHECK_THROWS_AS(lines_of(content), InputError);
    CHECK_THROWS_WITH(lines_of(content), Contains("f.jsonl:2'") && Contains(message));
  }
}
