#include "base/items.hpp"

#include "support/catch.hpp"

using loglog::items_of;
using Items = std::vector<std::string_view>;

TEST_CASE("a list has one item more than commas") {
  CHECK(items_of("3") == Items{"3"});
  CHECK(items_of("a,b=1, c") == Items{"a", "b=1", " c"});
  CHECK(items_of("") == Items{""});
  CHECK(items_of(",x,,") == Items{"", "x", "", ""});
}
