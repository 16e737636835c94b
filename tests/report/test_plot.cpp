#include "report/plot.hpp"

#include <cmath>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog::report;

namespace {

Figure example() {
  Figure figure;
  figure.name = "example";
  figure.title = "It's a {test}_1";
  figure.x = {"N", true};
  figure.y = {"loss", true};
  figure.series.push_back(
      {"points", Mark::points, 0, {1, 10, 100}, {3, 2, 1}, {}, {"run a", "run b", "run c"}});
  figure.series.push_back({"band", Mark::band, 1, {1, 10, 100}, {2.9, 1.9, 0.9}, {3.1, 2.1, 1.1}});
  return figure;
}

}  // namespace

TEST_CASE("a script holds the data and leaves out what a log axis cannot show") {
  Figure figure = example();
  figure.series[0].y[1] = NAN;
  figure.series[0].x[2] = -1;
  const std::string script = gnuplot_script(figure, Format::svg, "out.svg");
  REQUIRE_THAT(script,
               Catch::Contains("1 3 \"run a\"") && !Catch::Contains("run b") && !Catch::Contains("run c"));
  REQUIRE_THAT(script, Catch::Contains("'It''s a {test}_1'"));
}

TEST_CASE("series of unequal length are refused") {
  Figure figure = example();
  figure.series[0].y.pop_back();
  REQUIRE_THROWS(gnuplot_script(figure, Format::svg, "out.svg"));
}

TEST_CASE("pictures follow the page's colour and refer to nothing outside") {
  if (!gnuplot_available()) {
    loglog::testing::skip("gnuplot is not installed");
    return;
  }
  const loglog::TemporaryFolder folder;
  const std::string svg = render(example(), Format::svg, folder.path());
  REQUIRE(svg.rfind("<svg", 0) == 0);
  REQUIRE_THAT(svg, Catch::Contains("currentColor") && Catch::Contains("run a"));
  REQUIRE_THAT(svg, !Catch::Contains("xlink:href=\"http") && !Catch::Contains("<script src") &&
                        !Catch::Contains("'black'"));
  REQUIRE(render(example(), Format::png, folder.path()).substr(1, 3) == "PNG");
  REQUIRE(render(example(), Format::pdf, folder.path()).substr(0, 4) == "%PDF");
  REQUIRE(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("numbers are short enough for ticks") {
  REQUIRE(short_number(0) == "0");
  REQUIRE(short_number(999.7) == "1k");
  REQUIRE(short_number(12345) == "12.3k");
  REQUIRE(short_number(999600) == "1M");
  REQUIRE(short_number(-2.5e6) == "-2.5M");
  REQUIRE(short_number(3e12) == "3e12");
  REQUIRE(short_number(1.25e-6) == "1.25e-6");
  REQUIRE(short_number(0.0123) == "0.0123");
  REQUIRE(short_number(INFINITY) == "inf");
}

TEST_CASE("an axis of less than a decade has several ticks and is not stretched to the next decade") {
  Figure figure = example();
  figure.series.resize(1);
  figure.series[0].x = {12e3, 20e3, 70e3};
  const std::string script = gnuplot_script(figure, Format::svg, "out.svg");
  REQUIRE_THAT(script, Catch::Contains("'15k' 15000") && Catch::Contains("'50k' 50000"));
  REQUIRE_THAT(script, Catch::Contains("set xrange [1118") && Catch::Contains(":75116"));
}
