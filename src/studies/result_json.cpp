#include "studies/result_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"

namespace loglog::studies {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "loglog study result";
// Of a distribution what pages show; read back, it is a distribution with these quantiles.
constexpr double kKept[] = {0.005, 0.025, 0.5, 0.975, 0.995};

Json number(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? Json("nan") : Json(x > 0 ? "inf" : "-inf");
}

double number_from(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const auto text = json.get<std::string>();
  if (text == "nan") return Measure::kNone;
  if (text == "inf") return Measure::kInfinity;
  if (text == "-inf") return -Measure::kInfinity;
  throw InputError(fmt::format("'{}' is no number", text));
}

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double x : values) list.push_back(number(x));
  return list;
}

std::vector<double> numbers_from(const Json& json) {
  std::vector<double> values;
  for (const Json& x : json) values.push_back(number_from(x));
  return values;
}

// Of a study or a figure. A file of somebody else's must not choose where ours are written.
std::string file_name_from(const Json& json) {
  auto name = json.get<std::string>();
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (name.empty() || name.size() > 64 || !std::ranges::all_of(name, fits))
    throw InputError(fmt::format("'{}' is no name: it takes 1 to 64 of a-z, 0-9 and '-'", name));
  return name;
}

// Lists that belong together have the same length.
void require_length(std::string_view what, std::size_t is, std::size_t should) {
  if (is != should) throw InputError(fmt::format("{}: {} values instead of {}", what, is, should));
}

Json measure_json(const Measure& m) {
  Json json = {{"name", m.name},         {"value", number(m.value)}, {"low", number(m.low)},
               {"high", number(m.high)}, {"null", number(m.null)},   {"least", number(m.least)}};
  if (!std::isnan(m.falsified)) json["falsified"] = number(m.falsified);
  if (m.undefined > 0) json["undefined"] = m.undefined;
  if (!m.samples.empty())
    for (const double p : kKept) json["quantiles"].push_back(number(m.quantile(p)));
  return json;
}

// A sample whose quantiles are the ones that were kept.
std::vector<double> samples_with(const std::vector<double>& quantiles) {
  constexpr int kSize = 201;
  std::vector<double> samples;
  for (int i = 0; i < kSize; ++i) {
    const double p = static_cast<double>(i) / (kSize - 1);
    std::size_t k = 0;
    while (k + 2 < std::size(kKept) && p > kKept[k + 1]) ++k;
    const double t = std::min(1.0, std::max(0.0, (p - kKept[k]) / (kKept[k + 1] - kKept[k])));
    samples.push_back(quantiles[k] + t * (quantiles[k + 1] - quantiles[k]));
  }
  return samples;
}

Measure measure_from(const Json& json) {
  Measure m;
  m.name = json.at("name");
  m.value = number_from(json.at("value"));
  m.low = number_from(json.at("low")), m.high = number_from(json.at("high"));
  m.null = number_from(json.at("null")), m.least = number_from(json.at("least"));
  m.falsified = json.contains("falsified") ? number_from(json.at("falsified")) : Measure::kNone;
  m.undefined = json.value("undefined", 0.0);
  if (json.contains("quantiles")) {
    const std::vector<double> quantiles = numbers_from(json.at("quantiles"));
    require_length("quantiles", quantiles.size(), std::size(kKept));
    m.samples = samples_with(quantiles);
  }
  return m;
}

Json finding_json(const Finding& f) {
  Json json = {{"id", f.claim.id},           {"text", f.claim.text},          {"rule", f.claim.rule},
               {"paper", f.claim.paper},     {"verdict", name_of(f.verdict)}, {"why", f.why},
               {"untestable", f.untestable}, {"single_run", f.single_run}};
  json["measures"] = Json::array();
  for (const Measure& m : f.measures) json["measures"].push_back(measure_json(m));
  return json;
}

Finding finding_from(const Json& json) {
  Finding f;
  f.claim = {json.at("id"), json.at("text"), json.at("rule"), json.at("paper")};
  const std::string verdict = json.at("verdict");
  int v = 0;
  while (v <= static_cast<int>(Verdict::not_testable) && name_of(static_cast<Verdict>(v)) != verdict) ++v;
  if (v > static_cast<int>(Verdict::not_testable))
    throw InputError(fmt::format("'{}' is no verdict", verdict));
  f.verdict = static_cast<Verdict>(v);
  f.why = json.at("why"), f.untestable = json.at("untestable");
  f.single_run = json.value("single_run", false);
  for (const Json& m : json.at("measures")) f.measures.push_back(measure_from(m));
  return f;
}

Json axis_json(const report::Axis& axis) {
  Json json = {{"label", axis.label}, {"log", axis.log}};
  if (axis.low) json["low"] = number(*axis.low);
  if (axis.high) json["high"] = number(*axis.high);
  if (axis.tick_step) json["tick_step"] = number(*axis.tick_step);
  return json;
}

// A number that an axis can begin, end or go on with.
std::optional<double> place_from(const Json& axis, const char* key) {
  if (!axis.contains(key)) return std::nullopt;
  const double x = number_from(axis.at(key));
  if (!(std::fabs(x) <= report::kLargestNumber) || (axis.at("log") && x <= 0))
    throw InputError(fmt::format("'{}' of the axis '{}' is {}", key, axis.at("label").get<std::string>(), x));
  return x;
}

report::Axis axis_from(const Json& json) {
  report::Axis axis{json.at("label"), json.at("log"), place_from(json, "low"), place_from(json, "high"),
                    place_from(json, "tick_step")};
  if (axis.low && axis.high && !(*axis.low < *axis.high))
    throw InputError(fmt::format("the axis '{}' goes from {} to {}", axis.label, *axis.low, *axis.high));
  if (axis.tick_step && !(*axis.tick_step > 0))
    throw InputError(fmt::format("'tick_step' of the axis '{}' is {}", axis.label, *axis.tick_step));
  return axis;
}

Json figure_json(const report::Figure& f) {
  Json json = {{"name", f.name},
               {"title", f.title},
               {"caption", f.caption},
               {"x", axis_json(f.x)},
               {"y", axis_json(f.y)},
               {"legend", f.legend},
               {"legend_title", f.legend_title},
               {"colour", axis_json(f.colour)}};
  json["series"] = Json::array();
  for (const report::Series& s : f.series) {
    Json series = {{"label", s.label},   {"mark", static_cast<int>(s.mark)},
                   {"colour", s.colour}, {"x", numbers(s.x)},
                   {"y", numbers(s.y)},  {"y2", numbers(s.y2)},
                   {"hover", s.hover}};
    if (s.shade) series["shade"] = *s.shade;
    json["series"].push_back(std::move(series));
  }
  return json;
}

// A whole number from 0 to `most`.
int index_from(const Json& series, const char* key, int most) {
  const Json& json = series.at(key);
  if (!json.is_number_integer() || json < 0 || json > most)
    throw InputError(fmt::format("'{}' of a series is {}: it takes 0 to {}", key, json.dump(), most));
  return json;
}

// What is drawn: numbers that are not finite are left out of a picture.
std::vector<double> places_from(const Json& series, const char* key) {
  std::vector<double> values = numbers_from(series.at(key));
  for (const double x : values)
    if (std::isfinite(x) && std::fabs(x) > report::kLargestNumber)
      throw InputError(fmt::format("'{}' of a series has {}: it takes magnitudes of at most {}", key, x,
                                   report::kLargestNumber));
  return values;
}

report::Series series_from(const Json& json) {
  report::Series s;
  s.label = json.at("label");
  s.mark = static_cast<report::Mark>(index_from(json, "mark", static_cast<int>(report::Mark::cells)));
  s.colour = index_from(json, "colour", 1000);
  s.x = places_from(json, "x"), s.y = places_from(json, "y"), s.y2 = places_from(json, "y2");
  s.hover = json.at("hover").get<std::vector<std::string>>();
  if (json.contains("shade")) s.shade = json.at("shade").get<double>();
  require_length("y", s.y.size(), s.x.size());
  if (s.mark == report::Mark::band || s.mark == report::Mark::cells)
    require_length("y2", s.y2.size(), s.x.size());
  if (!s.hover.empty() || s.mark == report::Mark::labels) require_length("hover", s.hover.size(), s.x.size());
  return s;
}

report::Figure figure_from(const Json& json) {
  report::Figure f;
  f.name = file_name_from(json.at("name")), f.title = json.at("title"), f.caption = json.at("caption");
  f.x = axis_from(json.at("x")), f.y = axis_from(json.at("y"));
  if (json.contains("colour")) f.colour = axis_from(json.at("colour"));
  f.legend = json.at("legend"), f.legend_title = json.at("legend_title");
  for (const Json& s : json.at("series")) f.series.push_back(series_from(s));
  if (f.series.empty()) throw InputError(fmt::format("'series' of the figure '{}' is empty", f.name));
  return f;
}

std::vector<report::Figure> figures_from(const Json& json) {
  std::vector<report::Figure> figures;
  for (const Json& f : json) {
    figures.push_back(figure_from(f));
    if (std::ranges::count(figures, figures.back().name, &report::Figure::name) > 1)
      throw InputError(fmt::format("two figures are named '{}'", figures.back().name));
  }
  return figures;
}

Table table_from(const Json& json) {
  Table t{json.at("title"), json.at("header"), json.at("rows"), json.at("note")};
  for (const auto& row : t.rows) require_length("a row of '" + t.title + "'", row.size(), t.header.size());
  return t;
}

}  // namespace

std::string to_json(const Result& r) {
  Json json = {{"format", kFormat},
               {"study", r.study},
               {"title", r.title},
               {"effort", r.effort},
               {"manifest", r.manifest_hash},
               {"exploratory", r.exploratory},
               {"overall", name_of(overall(r.findings))},
               {"facts", r.facts}};
  for (const char* list : {"findings", "controls", "tables", "figures"}) json[list] = Json::array();
  for (const Finding& f : r.findings) json["findings"].push_back(finding_json(f));
  for (const Control& c : r.controls)
    json["controls"].push_back(
        {{"name", c.name}, {"planted", c.planted}, {"behaved", c.behaved}, {"text", c.text}});
  for (const Table& t : r.tables)
    json["tables"].push_back({{"title", t.title}, {"header", t.header}, {"rows", t.rows}, {"note", t.note}});
  for (const report::Figure& f : r.figures) json["figures"].push_back(figure_json(f));
  return json_text(json) + "\n";
}

Result from_json(std::string_view text, const std::string& file) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != kFormat) throw InputError("it is no result of a study");
    Result r;
    r.study = file_name_from(json.at("study")), r.title = json.at("title"), r.effort = json.at("effort");
    r.manifest_hash = json.at("manifest"), r.exploratory = json.at("exploratory");
    r.facts = json.at("facts").get<std::vector<std::string>>();
    for (const Json& f : json.at("findings")) r.findings.push_back(finding_from(f));
    if (json.at("overall") != name_of(overall(r.findings)))
      throw InputError("overall is not what the findings say");
    for (const Json& c : json.at("controls"))
      r.controls.push_back({c.at("name"), c.at("planted"), c.at("behaved"), c.at("text")});
    for (const Json& t : json.at("tables")) r.tables.push_back(table_from(t));
    r.figures = figures_from(json.at("figures"));
    return r;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(fmt::format("'{}': {}", file, error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("'{}': {}", file, error.what()));
  }
}

}  // namespace loglog::studies
