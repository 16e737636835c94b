// Results as files, and the pages that are made of them.
#include "studies/page.hpp"

#include <array>

#include "base/error.hpp"
#include "studies/result_json.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

Result example() {
  Result r;
  r.study = "int8", r.title = "A title", r.effort = "quick", r.manifest_hash = "00ff";
  r.facts = {"a fact"};
  Finding f;
  f.claim = {"C1", "a | claim", "a rule", "a figure"};
  Measure m;
  m.name = "rise", m.value = 1.5, m.low = 1, m.null = 0, m.least = 0.5, m.falsified = -1, m.undefined = 0.125;
  for (int i = 0; i <= 1000; ++i) m.samples.push_back(1 + i / 1000.0);
  f.measures = {m};
  f.verdict = Verdict::partial, f.why = "because", f.single_run = true;
  r.findings = {f};
  r.controls = {{"scale 1", false, true, "silent"}};
  r.tables = {{"A table", {"a", "b"}, {{"1", "2\n3"}}, "a note"}};
  report::Figure figure;
  figure.name = "curve", figure.title = "Curve", figure.caption = "what it shows";
  figure.x = {"x", true}, figure.y = {"y"};
  figure.series = {{"line", report::Mark::line, 1, {1, 2}, {3, 4}, {}, {"p", "q"}, 0.5}};
  report::Figure map;
  map.name = "map", map.title = "Map", map.colour = {"ratio", true, 0.5, 4};
  map.y = {"layer", false, {}, {}, 2};
  map.series = {{"", report::Mark::cells, 0, {0, 1}, {0, 0}, {1, 2}}};
  r.figures = {figure, map};
  return r;
}

// The example's file with one part replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = to_json(example());
  const std::size_t at = text.find(from);
  INFO(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a result comes back from its file, and so does its page") {
  Result r = example();
  const Result back = from_json(to_json(r), "f");
  CHECK(back.findings[0].verdict == Verdict::partial);
  CHECK(back.findings[0].measures[0].value == 1.5);
  CHECK(back.findings[0].measures[0].low == 1);
  CHECK(back.findings[0].measures[0].high == Measure::kInfinity);
  CHECK(back.findings[0].measures[0].null == 0);
  CHECK(back.findings[0].measures[0].least == 0.5);
  CHECK(back.findings[0].measures[0].falsified == -1);
  CHECK(back.findings[0].measures[0].undefined == 0.125);
  CHECK(back.findings[0].single_run);
  r.findings[0].measures[0].falsified = Measure::kNone;  // which early files do not have
  CHECK(std::isnan(from_json(to_json(r), "f").findings[0].measures[0].falsified));
  r = example();
  for (const double p : {0.025, 0.975})
    CHECK(back.findings[0].measures[0].quantile(p) ==
          Approx(r.findings[0].measures[0].quantile(p)).margin(1e-12));
  CHECK(back.figures[0].series[0].hover == std::vector<std::string>{"p", "q"});
  CHECK(back.figures[0].series[0].shade == 0.5);
  CHECK(back.figures[0].x.log);
  CHECK(back.figures[1].series[0].mark == report::Mark::cells);
  CHECK(back.figures[1].series[0].y2 == std::vector<double>{1, 2});
  CHECK(back.figures[1].colour.label == "ratio");
  CHECK(back.figures[1].colour.high == 4);
  CHECK(back.figures[1].colour.log);
  CHECK(back.figures[1].colour.low == 0.5);
  CHECK(back.figures[1].y.tick_step == 2);
  CHECK(markdown(back, "pictures") == markdown(r, "pictures"));
}

TEST_CASE("a page has verdicts, controls, tables and figures, and cells do not break it") {
  Result r = example();
  const std::string page = markdown(r, "pictures");
  CHECK_THAT(page, Contains("# A title") && Contains("manifest 00ff") && Contains("* a fact"));
  CHECK_THAT(page, Contains("| C1 a \\| claim | a rule | PARTIAL | because | a figure |") &&
                       Contains("| C1 | rise | at least 1 | null 0, an effect from 0.5 away, false below -1 "
                                "| 1.5 [1.025, 1.975], "
                                "no number in 12.5% of resamples |"));
  CHECK_THAT(page, Contains("All claims together: PARTIAL. (REPRODUCED where each is"));
  CHECK_THAT(page, Contains("family-wise error of 1% over all 1 claims") &&
                       Contains("95% intervals are for the eye"));
  CHECK_THAT(page, Contains("| scale 1 | null | yes | silent |"));
  CHECK_THAT(page, Contains("| 1 | 2 3 |") && Contains("a note"));
  CHECK_THAT(page, Contains("![Curve](pictures/curve.svg)"));
  CHECK_THAT(page, !Contains("EXPLORATORY"));
  r.exploratory = true;
  CHECK_THAT(markdown(r, "pictures"), Contains("EXPLORATORY"));
}

TEST_CASE("a damaged result is refused by its file") {
  const std::string good = to_json(example());
  const auto refused = [](const std::string& text) {
    CHECK_THROWS_AS(from_json(text, "f.json"), InputError);
    CHECK_THROWS_WITH(from_json(text, "f.json"), Contains("'f.json'"));
  };
  refused("");
  refused("{}");
  refused(good.substr(0, good.size() / 2));
  for (const auto& [from, to] : {std::pair{"loglog study result", "something"},
                                 {"PARTIAL", "GOOD"},
                                 {"\"mark\":2", "\"mark\":99"},
                                 {"\"value\":1.5", "\"value\":\"much\""},
                                 {"\"facts\":[", "\"fact\":["},
                                 {"\"study\":\"int8\"", "\"study\":\"../int8\""},
                                 {"\"name\":\"curve\"", "\"name\":\"/tmp/curve\""},
                                 {"\"name\":\"curve\"", "\"name\":\"\""},
                                 {"\"x\":[1.0,2.0]", "\"x\":[1.0,2.0,3.0]"},
                                 {"\"y2\":[1.0,2.0]", "\"y2\":[1.0]"},
                                 {"\"hover\":[\"p\",\"q\"]", "\"hover\":[\"p\"]"},
                                 {"\"header\":[\"a\",\"b\"]", "\"header\":[\"a\"]"},
                                 {"\"low\":0.5", "\"low\":\"half\""}}) {
    refused(with(from, to));
  }
}

TEST_CASE("what no picture can be drawn of is refused by its field") {
  for (const auto& [from, to, says] : std::vector<std::array<std::string, 3>>{
           {"\"low\":0.5", "\"low\":\"nan\"", "'low' of the axis 'ratio'"},
           {"\"low\":0.5", "\"low\":-1", "'low' of the axis 'ratio' is -1"},
           {"\"low\":0.5", "\"low\":4", "the axis 'ratio' goes from 4 to 4"},
           {"\"high\":4.0", "\"high\":\"inf\"", "'high' of the axis 'ratio'"},
           {"\"tick_step\":2.0", "\"tick_step\":0", "'tick_step' of the axis"},
           {"\"x\":[1.0,2.0]", "\"x\":[1.0,1e308]", "'x' of a series has 1e+308"},
           {"\"colour\":1", "\"colour\":-100", "'colour' of a series is -100"},
           {"\"colour\":1", "\"colour\":1e99", "'colour' of a series is 1e+99"},
           {"\"colour\":1", "\"colour\":9223372036854775808", "'colour'"},
           {"\"mark\":2", "\"mark\":4294967298", "'mark' of a series"},
           {"\"name\":\"map\"", "\"name\":\"curve\"", "two figures are named 'curve'"}}) {
    INFO(to);
    CHECK_THROWS_AS(from_json(with(from, to), "f.json"), InputError);
    CHECK_THROWS_WITH(from_json(with(from, to), "f.json"), Contains("'f.json'") && Contains(says));
  }
  Result r = example();
  r.figures[0].series.clear();
  CHECK_THROWS_WITH(from_json(to_json(r), "f.json"), Contains("'series' of the figure 'curve' is empty"));
}

TEST_CASE("a page's files are made together") {
  const TemporaryFolder folder;
  write_page(real_file_system(), folder.path(), example());
  CHECK_THAT(read_input(folder.path() / "int8.md"), Contains("A title"));
  CHECK(from_json(read_input(folder.path() / "int8.json"), "f").title == "A title");
  if (report::gnuplot_available())
    CHECK_THAT(read_input(folder.path() / "int8" / "curve.svg"), Contains("<svg"));
}
