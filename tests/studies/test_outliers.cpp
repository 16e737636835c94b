// The study of outliers from training to page, on runs of a few steps.
#include <algorithm>

#include "small_study.hpp"
#include "studies/page.hpp"
#include "studies/result_json.hpp"
#include "studies/studies.hpp"

using namespace loglog;
using namespace loglog::studies;
using namespace loglog::testing;
using Catch::Contains;

namespace {

// Less text and fewer draws than the study's own.
Manifest small_manifest() {
  return manifest_with("outliers", {{"tokens = 65536", "tokens = 2048"},
                                    {"permutations = 10000", "permutations = 1500"},
                                    {"untrained_models = 20", "untrained_models = 4"},
                                    {"random_draws = 20", "random_draws = 4"}});
}

Workplace workplace() {
  return small_workplace(trained_run(), "outliers", [](std::string sweep) {
    sweep = replaced(std::move(sweep),
                     {{"tokens = [2.048e6]", "tokens = [8192]"}, {"context = 256", "context = 32"}});
    if (sweep.find("keep_every") == std::string::npos) return sweep;
    return replaced(std::move(sweep), {{"keep_every = 125", "keep_every = 8"}});
  });
}

// Made once: it trains twenty small models.
const Result& result() {
  static const Result r = judged_result("outliers", small_manifest(), workplace());
  return r;
}

const Table& table(const std::string& title) {
  const auto at =
      std::ranges::find_if(result().tables, [&](const Table& t) { return t.title.starts_with(title); });
  REQUIRE(at != result().tables.end());
  return *at;
}

}  // namespace

TEST_CASE("every claim has a verdict, and its measures are numbers with samples") {
  REQUIRE(result().findings.size() == 5);
  for (const Finding& f : result().findings) {
    INFO(f.claim.id << " " << f.why);
    if (!f.untestable.empty()) continue;
    CHECK_FALSE(f.measures.empty());
    for (const Measure& m : f.measures) {
      INFO(m.name);
      CHECK_FALSE(std::isnan(m.value));
      CHECK(m.samples.size() > 1000);
      CHECK(m.least > 0);
    }
  }
  CHECK(result().findings[1].measures.size() == 4);  // two seeds of the largest size
  CHECK(result().findings[2].measures.size() == 6);
}

TEST_CASE("what was planted is found in every size, and nothing where nothing can be") {
  std::size_t planted = 0;
  for (const Control& c : result().controls) {
    INFO(c.name << ": " << c.text);
    CHECK(c.behaved);
    planted += c.planted;
  }
  CHECK(planted == 4);
  CHECK(result().controls.size() == 4 * 3 + 1);
}

TEST_CASE("tables hold every run, pictures every checkpoint") {
  CHECK(table("The ladder's last").rows.size() == 8);
  CHECK(table("Rank correlations").rows.size() == 2);
  CHECK_THAT(table("Rank correlations").note, Contains("32 checkpoints of 8 runs"));
  CHECK(table("Channels set to zero").rows.size() == 6);
  CHECK(table("What the top 6").rows.size() ==
        8 + 1 + 2);  // untrained; each seed of the largest size, rotated
  CHECK(table("Factors").rows.size() == 6);
  CHECK(table("Factors").rows[0][0] == "base");
  for (const Table& t : result().tables)
    for (const auto& row : t.rows) CHECK(row.size() == t.header.size());
  REQUIRE(result().figures.size() == 3);
  std::size_t points = 0;
  for (const report::Series& s : result().figures[0].series)
    if (s.mark == report::Mark::points) points += s.x.size();
  CHECK(points == 32);
  CHECK(result().figures[2].series[0].x.size() == 4 * 2 * 128);  // layers, sites, channels of size g
}

TEST_CASE("the page comes back from its file") {
  const Result back = from_json(to_json(result()), "f");
  CHECK(markdown(back, "p") == markdown(result(), "p"));
  CHECK_THAT(markdown(back, "p"), Contains("All claims together: "));
}

TEST_CASE("a stop ends it without a result") {
  const Manifest m = small_manifest();
  result();  // whose models are there
  Workplace w = workplace();
  w.train = [](const Training&) { return false; };
  CHECK_FALSE(outliers_study().run(m, w));
  w.train = [](const Training&) { return true; };
  for (const int asked : {0, 70, 85, 120}) {  // in the ladder, zeroing, the factors, the controls
    w.stop = [left = asked]() mutable { return left-- <= 0; };
    CHECK_FALSE(outliers_study().run(m, w));
  }
}
