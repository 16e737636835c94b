#include "studies/page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "studies/format.hpp"
#include "studies/result_json.hpp"

namespace loglog::studies {
namespace {

constexpr int kDigits = 4;

std::string band(const Measure& m) {
  if (!std::isfinite(m.low) && !std::isfinite(m.high)) return "-";
  if (!std::isfinite(m.low)) return fmt::format("at most {}", number(m.high, kDigits));
  if (!std::isfinite(m.high)) return fmt::format("at least {}", number(m.low, kDigits));
  return fmt::format("{} to {}", number(m.low, kDigits), number(m.high, kDigits));
}

// What else decides: the value without the effect, the smallest effect, what falsifies the claim.
std::string bounds(const Measure& m) {
  std::vector<std::string> parts;
  if (!std::isnan(m.null)) parts.push_back(fmt::format("null {}", number(m.null, kDigits)));
  if (m.least > 0) parts.push_back(fmt::format("an effect from {} away", number(m.least, kDigits)));
  if (!std::isnan(m.falsified))
    parts.push_back(
        fmt::format("false {} {}", m.falsified >= m.high ? "above" : "below", number(m.falsified, kDigits)));
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, ", "));
}

// A cell must not end the row that it is in.
std::string cell(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

void add_row(std::string& page, const std::vector<std::string>& cells) {
  page += "|";
  for (const std::string& c : cells) page += " " + cell(c) + " |";
  page += "\n";
}

void add_table(std::string& page, const Table& table) {
  page += fmt::format("\n## {}\n\n", table.title);
  add_row(page, table.header);
  add_row(page, std::vector<std::string>(table.header.size(), "---"));
  for (const auto& row : table.rows) add_row(page, row);
  if (!table.note.empty()) page += "\n" + table.note + "\n";
}

Table verdicts(const Result& result) {
  Table table{"Verdicts", {"claim", "asked for", "verdict", "why", "paper scale"}, {}, ""};
  for (const Finding& f : result.findings)
    table.rows.push_back({fmt::format("{} {}", f.claim.id, f.claim.text), f.claim.rule,
                          std::string(name_of(f.verdict)), f.why, f.claim.paper});
  const std::size_t claims = claims_judged(result.findings);
  table.note = fmt::format(
      "Judged with a family-wise error of {0:g}% over all {1} claims: REPRODUCED by Holm's method, the "
      "others at "
      "{0:g}% / {1} each. An interval under \"why\" is the one that decided: it leaves out that much at "
      "either end, "
      "divided by the number of the claim's measures where some of them show and some do not. "
      "`docs/formats.md` says "
      "what the verdicts mean.",
      100 * kFamilyError, claims);
  return table;
}

Table measures(const Result& result) {
  Table table{
      "What the verdicts rest on", {"claim", "measure", "asked for", "set against", "found (95%)"}, {}, ""};
  for (const Finding& f : result.findings)
    for (const Measure& m : f.measures)
      table.rows.push_back({f.claim.id, m.name, band(m), bounds(m), with_interval(m, kDigits)});
  table.note =
      "95% intervals are for the eye; verdicts are judged by wider ones, as said under \"Verdicts\".";
  return table;
}

Table controls(const Result& result) {
  Table table{"Controls", {"control", "kind", "behaved", "what was seen"}, {}, ""};
  for (const Control& c : result.controls)
    table.rows.push_back({c.name, c.planted ? "planted" : "null", c.behaved ? "yes" : "NO", c.text});
  return table;
}

}  // namespace

std::string markdown(const Result& result, const std::string& figures) {
  std::string page = fmt::format("# {}\n\n", result.title);
  if (result.exploratory)
    page += "**EXPLORATORY: the thresholds are not those that the program was built with.**\n\n";
  page +=
      fmt::format("Study `{}`, --{}; manifest {}.\n\n", result.study, result.effort, result.manifest_hash);
  page += fmt::format(
      "All claims together: {}. (REPRODUCED where each is, else PARTIAL where one is or shows its effect, "
      "else the first "
      "of CONTRADICTED, NOT AT THIS SCALE, UNDERPOWERED and NOT TESTABLE that occurs.)\n\n",
      name_of(overall(result.findings)));
  for (const std::string& fact : result.facts) page += fmt::format("* {}\n", fact);
  add_table(page, verdicts(result));
  add_table(page, controls(result));
  add_table(page, measures(result));
  for (const Table& table : result.tables) add_table(page, table);
  for (const report::Figure& figure : result.figures)
    page += fmt::format("\n![{}]({}/{}.svg)\n\n{}\n", figure.title, figures, figure.name, figure.caption);
  return page;
}

void write_page(FileSystem& fs, const Path& folder, const Result& result) {
  Result shown = result;
  const bool draws = report::gnuplot_available();
  if (!draws) {
    shown.figures.clear();
    shown.facts.push_back(
        "gnuplot was not there: this page has no pictures; `loglog study page` makes it again");
  }
  fs.create_directories(folder / result.study);
  for (const report::Figure& figure : shown.figures) {
    const std::string svg = report::svg_document(report::render(figure, report::Format::svg));
    write_atomically(fs, folder / result.study / (figure.name + ".svg"), svg);
  }
  write_atomically(fs, folder / (result.study + ".json"), to_json(result));
  write_atomically(fs, folder / (result.study + ".md"), markdown(shown, result.study));
}

}  // namespace loglog::studies
