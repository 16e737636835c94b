#include "data/documents.hpp"

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::data;

TEST_CASE("windows are cut behind each document end and at their own ends, and nowhere else") {
  std::vector<DocumentRows> rows = {{7, 7}};  // what was there before goes
  const auto find = [&](const std::vector<Token>& inputs) {
    find_documents(inputs, 4, 9, rows);
    return rows;
  };
  CHECK(find({1, 2, 3, 4, 5, 6, 7, 8}) == std::vector<DocumentRows>{{0, 4}, {4, 4}});
  CHECK(find({1, 9, 3, 4, 9, 6, 7, 9}) == std::vector<DocumentRows>{{0, 2}, {2, 2}, {4, 1}, {5, 3}});
  CHECK(find({9, 9, 9, 9}) == std::vector<DocumentRows>{{0, 1}, {1, 1}, {2, 1}, {3, 1}});
  CHECK(find({}).empty());
  CHECK_THROWS_AS(find({1, 2, 3}), ContractError);
}
