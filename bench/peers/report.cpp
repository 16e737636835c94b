#include "bench/peers/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace loglog::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMeasureNames[] = {"ratio", "share", "rate"};

bool asks(const Requirement& r, const Row& row) {
  return r.not_applicable.empty() && r.covers(row);
}

std::string limit_text(Measure measure, double limit) {
  return measure == Measure::rate ? fmt::format("{:.1f} T", limit * 1e-12) : fmt::format("{:.2f}", limit);
}

std::string required_text(const Section& section, const Row& row) {
  std::string text;
  for (const Requirement& r : section.requirements) {
    if (!asks(r, row) || r.each == 0.0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kMeasureNames[static_cast<int>(r.measure)],
                        limit_text(r.measure, r.each));
  }
  return text.empty() ? "-" : text;
}

// Of one row: against the limits for each row alone.
std::string verdict(const Section& section, const Row& row) {
  std::string text = "-", reason;
  const auto not_applicable = [&](const std::string& why) {
    if (reason.empty()) reason = "not applicable: " + why;
  };
  for (const Requirement& r : section.requirements) {
    if (!r.covers(row) || r.each == 0.0) continue;
    if (!r.not_applicable.empty()) {
      not_applicable(r.not_applicable);
    } else if (value_of(row, r.measure) == 0.0) {
      not_applicable("no library to compare with");
    } else if (value_of(row, r.measure) < r.each) {
      return "FAIL";
    } else {
      text = "pass";
    }
  }
  return text == "-" && !reason.empty() ? reason : text;
}

// Values that a requirement looks at; none where it is not applicable.
std::vector<double> values_for(const Section& section, const Requirement& requirement) {
  std::vector<double> values;
  for (const Row& row : section.rows) {
    if (!asks(requirement, row)) continue;
    if (const double value = value_of(row, requirement.measure); value > 0.0) values.push_back(value);
  }
  return values;
}

Json summary(const Section& section, const Requirement& requirement) {
  const std::vector<double> values = values_for(section, requirement);
  Json out = {{"measure", kMeasureNames[static_cast<int>(requirement.measure)]},
              {"required_median", requirement.median},
              {"required_each", requirement.each},
              {"shapes", values.size()}};
  if (values.empty()) {
    out["verdict"] = "not applicable: " + (requirement.not_applicable.empty() ? "nothing to compare with"
                                                                              : requirement.not_applicable);
    return out;
  }
  const double lowest = *std::min_element(values.begin(), values.end());
  out["median"] = median(values);
  out["minimum"] = lowest;
  out["verdict"] = median(values) >= requirement.median && lowest >= requirement.each ? "pass" : "FAIL";
  return out;
}

std::string summary_text(const Section& section, const Requirement& requirement) {
  const Json s = summary(section, requirement);
  const auto limit = [&](const char* key) { return limit_text(requirement.measure, s[key].get<double>()); };
  if (!s.contains("median"))
    return fmt::format("  {}: {}\n", s["measure"].get<std::string>(), s["verdict"].get<std::string>());
  return fmt::format("  {} over {} shapes: median {} (required {}), lowest {} ({}): {}\n",
                     s["measure"].get<std::string>(), s["shapes"].get<int>(), limit("median"),
                     limit("required_median"), limit("minimum"), limit("required_each"),
                     s["verdict"].get<std::string>());
}

// Names of all contestants of a section, in the order in which they first come.
std::vector<std::string> contestants(const Section& section) {
  std::vector<std::string> names;
  for (const Row& row : section.rows)
    for (const Rates& r : row.result.rates)
      if (std::find(names.begin(), names.end(), r.name) == names.end()) names.push_back(r.name);
  return names;
}

std::string rate_text(const Row& row, const std::string& name) {
  for (const Rates& r : row.result.rates)
    if (r.name == name)
      return fmt::format("{:.1f} {:>4}", median(r.per_round) * 1e-9,
                         fmt::format("~{:.0f}%", 100 * spread(r.per_round)));
  return "-";
}

// A ratio or share that there is none of is a dash.
std::string number_text(double value) {
  return value == 0.0 ? "-" : fmt::format("{:.2f}", value);
}

Json rates_json(const Rates& r, const ContestResult& result) {
  const auto [low, high] = std::minmax_element(r.per_round.begin(), r.per_round.end());
  Json out = {{"name", r.name}, {"median", median(r.per_round)}, {"minimum", *low}, {"maximum", *high}};
  if (&r != &result.ours()) {
    out["counted"] = r.counted;
    out["ratio"] = result.ratio(r);
  }
  return out;
}

}  // namespace

std::string text_of(const Section& section) {
  const std::vector<std::string> names = contestants(section);
  std::string text =
      fmt::format("{} [{}; {}]\n  {:<34}", section.title, section.unit, section.ceiling, "shape");
  for (const std::string& name : names) text += fmt::format(" {:>16}", name);
  text += fmt::format(" {:>7} {:>7}  {:<22} {}\n", "ratio", "share", "required", "result");
  for (const Row& row : section.rows) {
    text += fmt::format("  {:<34}", row.shape);
    for (const std::string& name : names) text += fmt::format(" {:>16}", rate_text(row, name));
    text += fmt::format(" {:>7} {:>7}  {:<22} {}\n", number_text(row.result.ratio_to_best()),
                        number_text(row.result.share()), required_text(section, row), verdict(section, row));
  }
  for (const Requirement& r : section.requirements) text += summary_text(section, r);
  return text;
}

Json json_of(const Section& section) {
  Json rows = Json::array();
  for (const Row& row : section.rows) {
    Json rates = Json::array();
    for (const Rates& r : row.result.rates) rates.push_back(rates_json(r, row.result));
    rows.push_back({{"set", row.set},
                    {"shape", row.shape},
                    {"rates", rates},
                    {"ratio", row.result.ratio_to_best()},
                    {"share", row.result.share()},
                    {"ceiling", median(row.result.ceilings)},
                    {"required", required_text(section, row)},
                    {"result", verdict(section, row)},
                    {"notes", row.notes}});
  }
  Json summaries = Json::array();
  for (const Requirement& r : section.requirements) summaries.push_back(summary(section, r));
  return {{"section", section.id},      {"title", section.title}, {"unit", section.unit},
          {"ceiling", section.ceiling}, {"rows", rows},           {"requirements", summaries}};
}

}  // namespace loglog::bench
