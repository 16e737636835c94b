// JSON as a flat map: what stands where, and what is refused by name and place.
#include "base/flat_json.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using Catch::Contains;

TEST_CASE("values are found by their paths, each as what it is") {
  const FlatJson json(R"({"a":{"b":[1,true,"x"]},"r":0.5,"big":18446744073709551615,"n":-3})", "f");
  CHECK(json.whole("a/b/0") == 1);
  CHECK(json.flag("a/b/1"));
  CHECK_THROWS_WITH(json.flag("a/b/0"), Contains("'f' is damaged: 'a/b/0' is not true or false"));
  CHECK_THROWS_WITH(json.flag("a/b/2"), Contains("'a/b/2' is not true or false"));
  CHECK_THROWS_WITH(json.flag("a/b/3"), Contains("'a/b/3' is not there"));
  CHECK_FALSE(FlatJson(R"({"no":false})", "f").flag("no"));
  CHECK(json.text("a/b/2") == "x");
  CHECK(json.real("r") == 0.5);
  CHECK(json.real("n") == -3);
  CHECK(json.real("big") == 18446744073709551616.0);
  CHECK_FALSE(json.contains("a"));
  CHECK_THROWS_WITH(json.whole("big"), Contains("'f' is damaged: 'big' is not a whole number below 2^63"));
  CHECK_THROWS_WITH(json.text("r"), Contains("'r' is not a string"));
  CHECK_THROWS_WITH(json.real("absent"), Contains("'absent' is not there"));
}

TEST_CASE("lists and objects are known, empty ones too, and keys that look like paths are none") {
  const FlatJson json(R"({"l":[[],{},3],"o":{"0":1},"x/0":1})", "f");
  CHECK(json.list_size("l") == 3u);
  CHECK(json.list_size("l/0") == 0u);
  for (const char* path : {"", "o", "l/1"}) CHECK(json.has_object(path));
  for (const char* path : {"o", "x", "l/1", "l/2", "absent"}) CHECK_FALSE(json.list_size(path));
  for (const char* path : {"l", "x", "l/2", "absent"}) CHECK_FALSE(json.has_object(path));
  CHECK_FALSE(FlatJson("[1]", "f").has_object(""));
}

TEST_CASE("what is refused") {
  for (const auto& [text, says] : {std::pair<const char*, const char*>{"", "no valid JSON"},
                                   {"{\"a\":1} x", "no valid JSON at byte 9"},
                                   {"{\"a\":1,\"a\":2}", "a key that is there twice at 'a'"},
                                   {"{\"a\":[],\"a\":[]}", "twice at 'a'"},
                                   {"{\"a\":1,\"a\":{}}", "twice at 'a'"},
                                   {"{\"a\":{},\"a\":1}", "twice at 'a'"},
                                   {"{\"a\":[0,null]}", "a null at 'a/1'"}}) {
    INFO(text);
    CHECK_THROWS_AS(FlatJson(text, "f"), InputError);
    CHECK_THROWS_WITH(FlatJson(text, "f"), Contains("'f' is damaged: ") && Contains(says));
  }
  CHECK_THROWS_WITH(FlatJson(std::string(100'000, '['), "f"), Contains("levels"));
  CHECK(FlatJson(R"({"a":[0,null,2]})", "f", JsonNulls::left_out).whole("a/2") == 2);
}
