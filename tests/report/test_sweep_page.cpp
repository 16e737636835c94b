#include <limits>
#include <regex>

#include "report/sweep_report.hpp"
#include "sample_report.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"

using namespace loglog::report;
using Catch::Contains;

namespace {

std::string without_pictures(const SweepReport& report) {
  return sweep_page(report, [](const Figure&) { return std::string(); });
}

std::string all_sentences(const SweepReport& report) {
  std::string text;
  for (const std::string& sentence : headline(report)) text += sentence + "\n";
  return text;
}

const Figure* find(const std::vector<Figure>& all, std::string_view name) {
  for (const Figure& figure : all) {
    if (figure.name == name) return &figure;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("the page says what was found, shows the parameters, and how it was made") {
  const std::string html = without_pictures(sample_report());
  REQUIRE_THAT(html, Contains("alpha = 0.4 (95% interval 0.37 to 0.43)"));
  REQUIRE_THAT(html, Contains("<td>beta</td><td>0.4</td><td>0.36</td><td>0.44</td>"));
  REQUIRE_THAT(html, Contains("loglog sweep run sample.toml"));
  REQUIRE_THAT(html, Contains("Certificate of convergence"));
  REQUIRE_THAT(html, Contains("no minimum between its sizes"));
  REQUIRE_THAT(html, Contains("<summary>All 20 runs</summary>"));
}

TEST_CASE("a floor is compared with what is known of the source") {
  SweepReport report = sample_report();
  REQUIRE_THAT(all_sentences(report),
               Contains("own loss on the validation tokens is 1.21") && Contains("inside the interval"));
  report.floor.validation_loss = 1.3;
  REQUIRE_THAT(all_sentences(report), Contains("OUTSIDE the interval"));
  report.fits[0].params[0].second = {1.2, 0.9, 1.5};
  REQUIRE_THAT(all_sentences(report), Contains("The floor is not identified") && !Contains("OUTSIDE"));
  report.fits[0].params[0].second.lo = std::numeric_limits<double>::quiet_NaN();
  REQUIRE_THAT(all_sentences(report), Contains("does not close") && Contains("no interval"));
}

TEST_CASE("what is not identified or not fitted is said in words, without its exponents") {
  SweepReport report = sample_report();
  report.fits[0].identified = false;
  report.fits[1] = LawFit{"isoflop", "", "", "only one budget has a minimum inside"};
  const std::string text = all_sentences(report);
  REQUIRE_THAT(text, Contains("chinchilla (20 runs): not identified") && !Contains("alpha ="));
  REQUIRE_THAT(text, Contains("isoflop: not fitted. only one budget has a minimum inside"));
  REQUIRE(find(figures(report), "isoflop") == nullptr);
  REQUIRE(find(figures(report), "frontier") == nullptr);
}

TEST_CASE("runs that were left out are listed with the reason and stay out of the figures") {
  SweepReport report = sample_report();
  report.runs[3].excluded = "ends above the bigram entropy";
  report.runs[4].state = "diverged";
  report.runs[4].loss.reset();
  report.runs[4].excluded = "diverged at step 90";
  const std::string html = without_pictures(report);
  REQUIRE_THAT(html, Contains("20 runs, 2 of them left out"));
  REQUIRE_THAT(html, Contains("ends above the bigram entropy") && Contains("diverged at step 90"));
  const auto all = figures(report);
  std::size_t points = 0;
  for (const Series& series : find(all, "residuals-chinchilla")->series) points += series.hover.size();
  REQUIRE(points == 18);
}

TEST_CASE("odd names cannot leave their place") {
  SweepReport report = sample_report();
  report.title = "<script>alert(1)</script>";
  report.runs[0].name = "</td><img src=x onerror=alert(1)> \" ' & \\";
  report.runs[0].excluded = "<b>";
  report.commands = {"loglog '</pre><img>'"};
  const std::string html = without_pictures(report);
  REQUIRE_THAT(html, !Contains("<img") && !Contains("<script>") && !Contains("</td><b>"));
}

TEST_CASE("without pictures every figure says what is missing") {
  const SweepReport report = sample_report();
  const std::string html = without_pictures(report);
  REQUIRE_THAT(html, !Contains("<svg") && Contains("gnuplot was not found"));
  for (const Figure& figure : figures(report)) REQUIRE_THAT(html, Contains(figure.caption));
}

TEST_CASE("the data of the page can be read back") {
  SweepReport report = sample_report();
  report.runs[0].name = "</script>";
  const std::string html = without_pictures(report);
  const std::string open = "id=\"loglog-data\">";
  const std::size_t begin = html.find(open) + open.size();
  const auto data = nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  REQUIRE(data.at("runs").size() == report.runs.size());
  REQUIRE(data.at("runs")[0].at("run") == "</script>");
  REQUIRE(data.at("runs")[0].at("loss") == *report.runs[0].loss);
  REQUIRE(data.at("fits")[0].at("law") == "chinchilla");
}

TEST_CASE("every kind of figure is there when there is something to show") {
  const std::vector<Figure> all = figures(sample_report());
  for (const char* name : {"loss-curves", "isoflop", "law-chinchilla", "frontier", "residuals-chinchilla"}) {
    INFO(name);
    REQUIRE(find(all, name) != nullptr);
  }
  REQUIRE(find(all, "law-isoflop") == nullptr);  // a procedure without a surface
  REQUIRE(figures(SweepReport{}).empty());
}

TEST_CASE("a page with pictures refers to nothing outside and runs no script") {
  if (!gnuplot_available()) {
    loglog::testing::skip("gnuplot is not installed");
    return;
  }
  SweepReport report = sample_report();
  report.runs[0].name = "a');alert(1);(' \"<b>";
  const std::string html = sweep_page(report, [&](const Figure& f) { return render(f, Format::svg); });
  REQUIRE_THAT(html, Contains("<svg") && !Contains("gnuplot was not found"));
  REQUIRE_THAT(html, Contains("s1/b0: N 6.46k"));  // the hover text names the run
  REQUIRE_FALSE(std::regex_search(html, std::regex("(src|href)\\s*=\\s*[\"'](https?:)?//")));
  REQUIRE_THAT(html, !Contains("onmouse") && !Contains("<script src") && !Contains("<b>\""));
  std::size_t scripts = 0;
  for (std::size_t at = html.find("<script"); at != html.npos; at = html.find("<script", at + 1)) ++scripts;
  REQUIRE(scripts == 1);  // the embedded data
  REQUIRE_THAT(html, !Contains("color=\"black\"") && !Contains("fill=\"black\""));
}
