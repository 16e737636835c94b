// The study of int8 from training to page, on runs of a few steps.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/isa.hpp"
#include "small_study.hpp"
#include "studies/int8_measures.hpp"
#include "studies/page.hpp"
#include "studies/result_json.hpp"
#include "studies/studies.hpp"

using namespace loglog;
using namespace loglog::studies;
using namespace loglog::testing;
using Catch::Contains;

namespace {

// Narrow layers, little text, few rounds.
Manifest small_manifest(const std::string& width = "64") {
  return manifest_with("int8", {{"tokens = 131072", "tokens = 2048"},
                                {"calibration_tokens = 65536", "calibration_tokens = 2048"},
                                {"planted_width_least = 256", "planted_width_least = " + width},
                                {"resamples = 20000", "resamples = 1500"},
                                {"speed_width_last = 4096", "speed_width_last = 128"},
                                {"speed_rows = 512", "speed_rows = 16"},
                                {"speed_rounds = 7", "speed_rounds = 3"}});
}

Workplace workplace() {
  return small_workplace(trained_run(), "int8", [](std::string sweep) {
    return replaced(std::move(sweep), {{"tokens = [4.096e6]", "tokens = [16384]"},
                                       {"layers = 2", "layers = 1"},
                                       {"width = 256", "width = 64"},
                                       {"context = 256", "context = 32"}});
  });
}

// Made once: it trains three small models.
const Result& result() {
  static const Result r = judged_result("int8", small_manifest(), workplace());
  return r;
}

std::vector<const Table*> tables(const std::string& title) {
  std::vector<const Table*> found;
  for (const Table& t : result().tables)
    if (t.title.starts_with(title)) found.push_back(&t);
  return found;
}

}  // namespace

TEST_CASE("every claim has a verdict, from every model") {
  REQUIRE(result().findings.size() == 10);
  std::vector<std::size_t> numbers;
  for (const Finding& f : result().findings) {
    INFO(f.claim.id << " " << f.why);
    CHECK(f.untestable.empty());
    CHECK_FALSE(f.single_run);
    numbers.push_back(f.measures.size());
    for (const Measure& m : f.measures) {
      INFO(m.name);
      CHECK_FALSE(std::isnan(m.value));
      CHECK(m.samples.size() == (f.claim.id == "C10" ? 0 : 1500));
      if (!std::isnan(m.null)) CHECK(m.least > 0);
    }
  }
  CHECK(numbers == std::vector<std::size_t>{6, 18, 18, 12, 3, 6, 6, 1, 1, 3});
  CHECK_THAT(result().findings[0].measures[4].name, Contains("o, seed 3"));
}

TEST_CASE("what was planted is found, and changes nothing in float32") {
  std::size_t planted = 0;
  for (const Control& c : result().controls) {
    INFO(c.name << ": " << c.text);
    CHECK(c.behaved);
    planted += c.planted;
  }
  CHECK(planted == 6);
  CHECK(result().controls.size() == 3 * 5);  // and float32 in both kinds, and scale 1 in one
}

TEST_CASE("outliers break what does not decompose, and tables and pictures show both treatments") {
  REQUIRE(tables("Models as they were trained").size() == 1);
  CHECK(tables("Models as they were trained")[0]->header.size() == 1 + 3);
  REQUIRE(tables("Planted, ").size() == 6);
  for (const Table* t : tables("Planted, ")) {
    CHECK(t->header.size() == 1 + 8);
    CHECK(t->rows.size() == kInt8Forms.size() + 2);
    for (const auto& row : t->rows) CHECK(row.size() == t->header.size());
    const auto at = [&](const std::string& title) {
      const auto row = std::ranges::find(t->rows, title, [](const auto& r) { return r[0]; });
      REQUIRE(row != t->rows.end());
      return std::stod(row->back());  // the largest scale
    };
    INFO(t->title);
    if (t->title.find("two-signed") != std::string::npos) CHECK(at("absmax") > at("absmax vector-wise"));
    CHECK(at("absmax vector-wise") > 10 * std::abs(at("LLM.int8() absmax, calibrated")));
    CHECK(at("LLM.int8() absmax") > at("LLM.int8() absmax, calibrated"));
    CHECK_THAT(t->note, Contains("as published") && Contains("calibrated"));
  }
  REQUIRE(result().figures.size() == 3);
  CHECK(result().figures[0].name == "planted-two-signed");
  CHECK(result().figures[0].series.size() == 3 * 8);
  std::size_t labels = 0;
  for (const report::Series& s : result().figures[1].series) labels += !s.label.empty();
  CHECK(labels == 8);
  CHECK(std::ranges::any_of(result().facts, [](const std::string& f) {
    return f.find("as published and") != std::string::npos && f.find("calibrated") != std::string::npos;
  }));
}

TEST_CASE("the page comes back from its file") {
  const Result back = from_json(to_json(result()), "f");
  CHECK(markdown(back, "p") == markdown(result(), "p"));
  CHECK_THAT(markdown(back, "p"), Contains("All claims together: "));
}

TEST_CASE("where no model is wide enough, what is asked of planted ones is not testable") {
  result();  // whose models are there
  const auto narrow = int8_study().run(small_manifest("65"), workplace());
  REQUIRE(narrow);
  for (std::size_t i = 0; i < 6; ++i) CHECK_THAT(narrow->findings[i].untestable, Contains("65 channels"));
  for (std::size_t i = 6; i < 10; ++i) CHECK(narrow->findings[i].untestable.empty());
  CHECK(narrow->controls.empty());
  CHECK(narrow->figures.size() == 1);
}

TEST_CASE("a stop ends it without a result") {
  result();
  Workplace w = workplace();
  w.train = [](const Training&) { return false; };
  CHECK_FALSE(int8_study().run(small_manifest(), w));
  w.train = [](const Training&) { return true; };
  for (const int asked : {0, 3, 30, 60}) {  // in calibration, in a form, in planted models
    w.stop = [left = asked]() mutable { return left-- <= 0; };
    CHECK_FALSE(int8_study().run(small_manifest(), w));
  }
}
