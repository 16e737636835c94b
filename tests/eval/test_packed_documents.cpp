#include "eval/packed_documents.hpp"

#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::eval;

TEST_CASE("documents get their rows, and positions that count from their first token") {
  PackedDocuments documents(9, 4, 3);
  const std::vector<data::Token> inputs = {1, 9, 3, 4, 9, 6, 7, 8}, fewer = {9, 9, 1, 2};
  nn::Documents found = documents.find(inputs);
  const std::vector<std::pair<int, int>> expected = {{0, 2}, {2, 2}, {4, 1}, {5, 3}};
  REQUIRE(found.rows.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(found.rows[i].query == expected[i].first);
    CHECK(found.rows[i].queries == expected[i].second);
    CHECK(found.rows[i].key == expected[i].first);
    CHECK(found.rows[i].keys == expected[i].second);
  }
  CHECK(std::vector<std::int32_t>(found.positions, found.positions + 8) ==
        std::vector<std::int32_t>{0, 1, 0, 1, 0, 0, 1, 2});
  found = documents.find(fewer);
  REQUIRE(found.rows.size() == 3);
  CHECK(std::vector<std::int32_t>(found.positions, found.positions + 4) ==
        std::vector<std::int32_t>{0, 0, 0, 1});
}
