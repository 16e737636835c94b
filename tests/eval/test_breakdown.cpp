#include "eval/breakdown.hpp"

#include <cmath>
#include <fstream>

#include "base/check.hpp"
#include "data/token_writer.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::eval;

TEST_CASE("a clustered mean and its standard error are the formula's") {
  ClusteredMean m;
  CHECK(std::isnan(m.mean()));
  m.add(4, 6.0, 2);
  CHECK(std::isnan(m.standard_error()));
  m.add(4, 1.0, 1);  // the same cluster: 7 of 3
  m.add(9, 5.0, 1);
  m.add(11, 2.0, 2);
  CHECK(m.count() == 6);
  CHECK(m.clusters() == 3);
  CHECK(m.mean() == Approx(14.0 / 6));
  const double r = 14.0 / 6;
  const double squares = std::pow(7 - 3 * r, 2) + std::pow(5 - r, 2) + std::pow(2 - 2 * r, 2);
  CHECK(m.standard_error() == Approx(std::sqrt(3.0 / 2 * squares) / 6));
}

TEST_CASE("with clusters of one token it is the standard error of a mean") {
  ClusteredMean m;
  const double x[] = {1, 4, 2, 7};
  for (std::uint64_t i = 0; i < 4; ++i) m.add(i, x[i], 1);
  const double variance = (std::pow(1 - 3.5, 2) + std::pow(0.5, 2) + std::pow(1.5, 2) + std::pow(3.5, 2)) / 3;
  CHECK(m.standard_error() == Approx(std::sqrt(variance / 4)));
}

TEST_CASE("losses are taken apart by position, source and span") {
  const TemporaryFolder folder;
  const Path file = folder.path() / "spans.jsonl";
  std::ofstream(file) << R"({"begin": 3, "end": 5, "name": "a"}
{"begin": 5, "end": 12, "name": "b"}
{"begin": 9, "end": 10, "name": "a"}
{"begin": 10, "end": 11, "name": "unseen"}
)";
  const Spans spans = Spans::read(file, 20);
  Breakdown parts(5, {"one", "two"}, spans);
  // Tokens 1..5 and 11..15: those of the second window come from another cluster and source.
  const float first[] = {1, 2, 4, 8, 16}, second[] = {3, 5, 7, 9, 11};
  const data::Token all[] = {1, 1, 1, 1, 1};
  parts.add({0, 0, 0, first, all});
  parts.add({10, 7, 1, second, all});
  CHECK(parts.all().mean() == Approx((31.0 + 35.0) / 10));
  CHECK(parts.all().clusters() == 2);

  REQUIRE(parts.positions().size() == 4);
  const char* names[] = {"0", "1", "2-3", "4"};
  const double means[] = {2, 3.5, (4 + 8 + 7 + 9) / 4.0, 13.5};
  const std::uint64_t counts[] = {2, 2, 4, 2};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(parts.positions()[i].name == names[i]);
    CHECK(parts.positions()[i].loss.mean() == Approx(means[i]));
    CHECK(parts.positions()[i].loss.count() == counts[i]);
  }
  CHECK(parts.loss_at(3) == Approx(8.5));

  CHECK(parts.sources()[0].loss.mean() == Approx(31.0 / 5));
  CHECK(parts.sources()[1].name == "two");
  CHECK(parts.sources()[1].loss.count() == 5);

  REQUIRE(parts.spans().size() == 3);
  CHECK(parts.spans()[0].name == "a");  // tokens 3 and 4; 9 is in no window
  CHECK(parts.spans()[0].loss.count() == 2);
  CHECK(parts.spans()[0].loss.mean() == Approx(6));
  CHECK(parts.spans()[1].loss.count() == 2);  // tokens 5 and 11
  CHECK(parts.spans()[1].loss.mean() == Approx((16.0 + 3.0) / 2));
  CHECK(parts.spans()[1].loss.clusters() == 1);  // one span
  CHECK(parts.spans()[2].loss.count() == 0);

  REQUIRE_THROWS_AS(parts.add({0, 0, 0, std::span(first).first(4), all}), ContractError);
}

TEST_CASE("clusters are blocks, or runs of windows where blocks are few") {
  const TemporaryFolder folder;
  data::TokenWriter writer(real_file_system(), folder.path() / "t.tok", 1);
  writer.begin_source("only");
  writer.append(std::vector<data::Token>(4001, 3));
  writer.finish(8, nlohmann::json::object());
  const data::TokenFile file = data::TokenFile::open(folder.path() / "t.tok");
  const std::vector<data::TokenRange> whole = {{0, 4001, 0}};
  const data::FixedSample few(file, whole, 10, 0);
  REQUIRE(few.windows() == 400);
  const Clusters runs(few);
  CHECK(runs.of(0) == 0);
  CHECK(runs.of(12) == 0);
  CHECK(runs.of(13) == 1);  // 12.5 windows each
  CHECK(runs.of(399) == 31);
  std::vector<data::TokenRange> ranges;
  for (std::uint64_t i = 0; i < 20; ++i) ranges.push_back({i * 200, i * 200 + 101, 0});
  const data::FixedSample many(file, ranges, 10, 0);
  REQUIRE(many.blocks() == 20);
  const Clusters blocks(many);
  CHECK(blocks.of(9) == 0);
  CHECK(blocks.of(10) == 1);
  CHECK(blocks.of(199) == 19);
}

TEST_CASE("targets that do not count are in no part") {
  const Spans none;
  Breakdown parts(4, {"one"}, none);
  const data::Token some[] = {1, data::kIgnoredTarget, data::kIgnoredTarget, 2};
  const float losses[] = {3, 0, 0, 5};
  parts.add({0, 0, 0, losses, some});
  CHECK(parts.all().count() == 2);
  CHECK(parts.all().mean() == 4);
  CHECK(parts.positions()[1].loss.count() == 0);
  CHECK(parts.positions()[2].loss.mean() == 5);  // positions 2 and 3
  CHECK(std::isnan(parts.loss_at(1)));
  CHECK(parts.loss_at(3) == 5);
}
