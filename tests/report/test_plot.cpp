#include "report/plot.hpp"

#include <cmath>
#include <cstdlib>

#include "base/error.hpp"
#include "report/stand_in_gnuplot.hpp"
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
  const std::string script = gnuplot_script(figure, Format::svg);
  REQUIRE_THAT(script,
               Catch::Contains("1 3 \"run a\"") && !Catch::Contains("run b") && !Catch::Contains("run c"));
  REQUIRE_THAT(script, Catch::Contains("\"It's a {test}_1\""));
}

TEST_CASE("cells keep their grid, with blanks where colour has no value") {
  Figure figure;
  figure.name = "map";
  figure.x = {"dimension"};
  figure.y = {"layer"};
  figure.y.tick_step = 2;
  figure.colour = {"RMS", true, 0.5, 8};
  figure.series.push_back({"", Mark::cells, 0, {0, 1, 0, 1}, {0, 0, 1, 1}, {1, 0, 4, NAN}});
  const std::string script = gnuplot_script(figure, Format::svg);
  REQUIRE_THAT(script, Catch::Contains("0 0 1\n1 0 NaN\n0 1 4\n1 1 NaN\n") &&
                           Catch::Contains("with image pixels") && Catch::Contains("set logscale cb") &&
                           Catch::Contains("set cbrange [0.5:8]") && Catch::Contains("set cblabel \"RMS\""));
  REQUIRE_THAT(script, Catch::Contains("set ytics 0,2\n"));
  REQUIRE_THAT(script, !Catch::Contains("set yrange [0:8"));  // colours are no heights
  if (!gnuplot_available()) return;
  REQUIRE_THAT(render(figure, Format::svg), Catch::Contains("</svg>"));
}

TEST_CASE("series of unequal length are refused") {
  Figure figure = example();
  figure.series[0].y.pop_back();
  REQUIRE_THROWS(gnuplot_script(figure, Format::svg));
}

TEST_CASE("pictures follow the page's colour and refer to nothing outside") {
  if (!gnuplot_available()) {
    loglog::testing::skip("gnuplot is not installed");
    return;
  }
  const std::string svg = render(example(), Format::svg);
  REQUIRE(svg.rfind("<svg", 0) == 0);
  REQUIRE_THAT(svg, Catch::Contains("currentColor") && Catch::Contains("run a"));
  REQUIRE_THAT(svg, !Catch::Contains("xlink:href=\"http") && !Catch::Contains("<script src") &&
                        !Catch::Contains("'black'"));
  REQUIRE(render(example(), Format::png).substr(1, 3) == "PNG");
  REQUIRE(render(example(), Format::pdf).substr(0, 4) == "%PDF");
}

TEST_CASE("half a picture is an error, however gnuplot ends") {
  const loglog::TemporaryFolder folder;
  const std::string old_path = std::getenv("PATH");
  const auto drawn_by = [&](const std::string& lines, Format format) {
    std::string setting = loglog::testing::stand_in_gnuplot(folder.path(), lines);
    ::setenv("PATH", setting.substr(5).c_str(), 1);
    std::string picture;
    try {
      picture = render(example(), format);
    } catch (const loglog::Error& error) {
      picture = "error " + std::to_string(static_cast<int>(error.exit_code)) + ": " + error.what();
    }
    ::setenv("PATH", old_path.c_str(), 1);
    return picture;
  };
  const struct {
    Format format;
    std::string whole;
  } cases[] = {{Format::svg, "<?xml?><svg></svg>"},
               {Format::png, "\\211PNG IEND\\256\\102\\140\\202"},
               {Format::pdf, "%%PDF-1.5 %%%%EOF"}};
  for (const auto& [format, whole] : cases) {
    INFO(whole);
    const std::string half = whole.substr(0, whole.size() - 1);
    CHECK_THAT(drawn_by("cat >/dev/null; printf '" + half + "'", format),
               Catch::StartsWith("error 1: gnuplot left figure 'example' incomplete"));
    CHECK_THAT(drawn_by("cat >/dev/null; printf '" + whole + "'", format), !Catch::StartsWith("error"));
    CHECK_THAT(drawn_by("printf '" + whole + "\\n'; echo why >&2; exit 3", format),  // reads nothing
               Catch::StartsWith("error 1: gnuplot failed on figure 'example': why"));
  }
}

TEST_CASE("gnuplot shows every text as it is") {
  const std::string quotes = R"(''a'''b" "c" \d\n \1417 `false` $e @f {g}_h^i 100% # é)";
  Figure figure = example();
  figure.series[0].hover.clear();
  figure.title = quotes, figure.x.label = quotes, figure.legend_title = quotes;
  figure.series[0].label = quotes;
  REQUIRE_THAT(gnuplot_script(figure, Format::svg),
               Catch::Contains(R"("''a'''b\042 \042c\042 \134d\134n \1341417 \140false\140 $e)"));
  if (!gnuplot_available()) return;
  const std::string svg = render(figure, Format::svg);
  std::size_t shown = 0;
  for (std::size_t at = 0; (at = svg.find(">" + quotes + "<", at)) != svg.npos; ++at) ++shown;
  REQUIRE(shown >= 4);  // title, axis, legend and its heading
}

TEST_CASE("gnuplot draws what is very large, very small or nowhere") {
  if (!gnuplot_available()) return;
  for (const bool log : {false, true}) {
    Figure figure;
    figure.name = "far", figure.x = {"x", log}, figure.y = {"y", log};
    figure.series.push_back(
        {"far", Mark::line, 0, {1e-300, 1, kLargestNumber}, {1e-300, 1, kLargestNumber}, {}});
    figure.series.push_back({"nowhere", Mark::line, 1, {NAN}, {1}, {}});
    figure.series.push_back({"empty", Mark::points, 2, {}, {}, {}});
    REQUIRE_THAT(render(figure, Format::svg), Catch::Contains("</svg>"));
  }
}

TEST_CASE("pictures are well-formed whatever a name is made of") {
  Figure figure = example();
  figure.series[0].label = "a\xff\x01z";
  figure.series[0].hover[1] = "h\xc3";
  figure.title = "t\xe2\x82";
  const std::string script = gnuplot_script(figure, Format::svg);
  REQUIRE_THAT(script, Catch::Contains("\"a\xef\xbf\xbd z\"") && Catch::Contains("\"h\xef\xbf\xbd\"") &&
                           Catch::Contains("\"t\xef\xbf\xbd\""));
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
  const std::string script = gnuplot_script(figure, Format::svg);
  REQUIRE_THAT(script, Catch::Contains("'15k' 15000") && Catch::Contains("'50k' 50000"));
  REQUIRE_THAT(script, Catch::Contains("set xrange [1118") && Catch::Contains(":75116"));
}
