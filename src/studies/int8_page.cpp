#include "studies/int8_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "studies/format.hpp"

namespace loglog::studies {
namespace {

using enum Int8Form;

constexpr const char* kTreatments =
    "Decomposing schemes as published, where the rows of W that meet outliers come from int8, and "
    "calibrated, "
    "where they stay float32.";

std::string rise_in_percent(const Int8Arm::InForm& form) {
  Measure m;
  m.value = form.rise, m.samples = form.samples;
  return with_interval(m, 3, 0.01);
}

Table natural_table(const Int8Findings& found) {
  Table table{"Models as they were trained: rise of per-byte perplexity in %", {"scheme"}, {}, ""};
  std::vector<std::string> exact = {"float32: perplexity per byte"};
  for (const auto& [model, arm] : found.natural) {
    table.header.push_back(model);
    exact.push_back(fmt::format("{:.4f}", std::exp(arm.float_loss / found.bytes_per_token)));
  }
  table.rows.push_back(exact);
  for (std::size_t f = 0; f < kInt8Forms.size(); ++f) {
    std::vector<std::string> line = {kInt8Forms[f].title};
    for (const auto& [model, arm] : found.natural) line.push_back(rise_in_percent(arm.forms[f]));
    table.rows.push_back(line);
  }
  table.note = fmt::format("95% intervals: paired bootstrap over blocks of at most 64 KiB of text. {} {}",
                           found.protocol, kTreatments);
  return table;
}

Table planted_table(const Int8Planted& p) {
  Table table{fmt::format("Planted, {}: rise of per-byte perplexity in %", p.name()), {"scheme"}, {}, ""};
  for (const double s : p.scales) table.header.push_back(fmt::format("s = {:.0f}", s));
  for (std::size_t f = 0; f < kInt8Forms.size(); ++f) {
    std::vector<std::string> line = {kInt8Forms[f].title};
    for (const Int8Arm& arm : p.arms) line.push_back(number(100 * arm.forms[f].rise));
    table.rows.push_back(line);
  }
  for (const Int8Form form : {llm, llm_calibrated}) {
    std::vector<std::string> line = {fmt::format("products in int8, {}", title_of(form))};
    for (const Int8Arm& arm : p.arms) line.push_back(percent(arm[form].counts.int8_share(), 4));
    table.rows.push_back(line);
  }
  table.note = kTreatments;
  return table;
}

// A line of every model, in one colour.
void add_lines(report::Figure& figure, const std::vector<const Int8Planted*>& models, Int8Form form,
               int colour) {
  for (const Int8Planted* p : models) {
    report::Series series;
    series.label = p == models.front() ? title_of(form) : "";
    const bool decomposes = form == llm || form == row_decomposition;
    series.mark = decomposes ? report::Mark::dashed_line : report::Mark::line;
    series.colour = colour;
    for (std::size_t i = 0; i < p->arms.size(); ++i) {
      const double rise = 100 * p->arms[i][form].rise;
      if (rise < 1e-3) continue;
      series.x.push_back(p->scales[i]), series.y.push_back(rise);
    }
    figure.series.push_back(std::move(series));
  }
}

// Of all models of the largest size.
report::Figure planted_figure(const std::vector<Int8Planted>& planted, bool one_signed) {
  const double largest = std::ranges::max(planted, {}, &Int8Planted::parameters).parameters;
  std::vector<const Int8Planted*> models;
  for (const Int8Planted& p : planted)
    if (p.one_signed == one_signed && p.parameters == largest) models.push_back(&p);
  const char* const kind = one_signed ? "one-signed" : "two-signed";
  report::Figure figure;
  figure.name = fmt::format("planted-{}", kind);
  figure.title = fmt::format("What outliers of scale s cost, {}", kind);
  figure.caption = fmt::format(
      "Rise of per-byte perplexity against float32, which the planting leaves as it is; a line for each of "
      "{} "
      "models. {} Points below 0.001% are left out.",
      models.size(), kTreatments);
  figure.x = {"scale s of the planted channels", true};
  figure.y = {"rise of perplexity, %", true};
  int colour = 0;
  for (const Int8Form form : {absmax_tensor, absmax_row, absmax_vector, zeropoint_vector})
    add_lines(figure, models, form, colour++);
  for (const auto& [published, calibrated] :
       {std::pair{row_decomposition, row_decomposition_calibrated}, {llm, llm_calibrated}}) {
    add_lines(figure, models, published, colour);
    add_lines(figure, models, calibrated, colour++);
  }
  return figure;
}

std::string treatments_fact(const std::vector<Int8Planted>& planted) {
  const auto most = [&](Int8Form form) {
    double rise = -Measure::kInfinity;
    for (const Int8Planted& p : planted) rise = std::max(rise, p.largest_rise(form));
    return percent(rise);
  };
  return fmt::format(
      "largest rise over all planted models and scales: LLM.int8() absmax {} as published and {} calibrated, "
      "row-wise + decomposition {} and {}; planting divides the rows of W that meet outliers by s, and in "
      "int8, "
      "as published, they round to few steps: the schemes are judged calibrated, with those rows in float32",
      most(llm), most(llm_calibrated), most(row_decomposition), most(row_decomposition_calibrated));
}

}  // namespace

void add_page(const Int8Findings& found, Result& result) {
  result.tables.push_back(natural_table(found));
  for (const Int8Planted& p : found.planted) result.tables.push_back(planted_table(p));
  if (!found.planted.empty()) {
    result.facts.push_back(treatments_fact(found.planted));
    for (const bool one_signed : {false, true})
      result.figures.push_back(planted_figure(found.planted, one_signed));
  }
  result.tables.push_back(crossover_table(found.speed));
  for (const Int8Speed& s : found.speed) result.tables.push_back(s.table());
  result.figures.push_back(speed_figure(found.speed));
}

}  // namespace loglog::studies
