#include "studies/outliers_figures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace loglog::studies {

using eval::OutlierRung;
using quant::Index;

report::Figure outlier_map(const std::string& subject, const quant::ActivationSums& sums,
                           const std::vector<std::string>& sites) {
  report::Figure figure{"outliers",
                        fmt::format("RMS of each dimension over the median of its layer: {}", subject),
                        "",
                        {"dimension"},
                        {fmt::format("layer (within one, from below: {})", fmt::join(sites, ", "))}};
  if (sites.size() == 1) figure.y.label = fmt::format("layer ({})", sites.front());
  figure.colour = {"RMS / median RMS", true};
  figure.legend = false;
  report::Series cells{"", report::Mark::cells};
  const auto rows = static_cast<double>(sites.size());
  double layers = 0, highest = 1;
  Index width = 0;
  for (const quant::ActivationSums::Entry& entry : sums.entries()) {
    const auto site = std::ranges::find(sites, entry.spot.site);
    if (site == sites.end()) continue;
    const quant::ChannelSums& s = entry.sums;
    const double median = s.median_rms();
    // The rows of a layer share the unit around its number.
    const double y = static_cast<double>(entry.spot.layer) +
                     (static_cast<double>(site - sites.begin()) + 0.5) / rows - 0.5;
    for (Index j = 0; j < s.width(); ++j) {
      const double ratio = std::sqrt(s.mean_square(j)) / median;
      cells.x.push_back(static_cast<double>(j));
      cells.y.push_back(y);
      cells.y2.push_back(ratio);
      if (std::isfinite(ratio)) highest = std::max(highest, ratio);
    }
    layers = std::max(layers, static_cast<double>(entry.spot.layer) + 1);
    width = s.width();
  }
  figure.x.low = -0.5;
  figure.x.high = static_cast<double>(width) - 0.5;
  figure.y.low = -0.5;
  figure.y.high = layers - 0.5;
  figure.y.tick_step = std::max(1.0, std::ceil(layers / 12));  // layers have whole numbers
  // Half the median is as dark as it gets: what is small is not the matter here.
  figure.colour.low = 0.5;
  figure.colour.high = std::max(highest, 4.0);
  figure.series.push_back(std::move(cells));
  return figure;
}

namespace {

// Whether a logarithmic axis has ticks to show.
bool spans_decades(const std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  return high > 5 * low;
}

void add_run(report::Figure& figure, const CurveOf& what, const std::vector<OutlierRung>& run, double shade,
             bool is_first) {
  report::Series points{is_first ? report::short_number(run.front().n) : ""};
  points.shade = shade;
  for (const OutlierRung& r : run) {
    points.x.push_back(what.by_step ? static_cast<double>(r.step) : r.loss);
    points.y.push_back(r.*what.measure);
    points.hover.push_back(
        fmt::format("{}: loss {:.4f}, {} {:.4g}", r.name, r.loss, what.label, r.*what.measure));
  }
  if (run.size() > 1) {
    report::Series line{"", report::Mark::line, 0, points.x, points.y, {}};
    line.shade = shade;
    figure.series.push_back(std::move(line));
  }
  figure.series.push_back(std::move(points));
}

}  // namespace

report::Figure outlier_curves(const CurveOf& what, const std::vector<std::vector<OutlierRung>>& runs) {
  report::Figure figure{what.name, what.title, ""};
  std::set<double> sizes;
  std::vector<double> values;
  for (const auto& run : runs)
    for (const OutlierRung& r : run) {
      sizes.insert(r.n);
      values.push_back(r.*what.measure);
    }
  figure.x = {what.by_step ? "step" : "loss, nats per token"};
  figure.y = {what.label, spans_decades(values)};
  double place = 0;
  for (const double n : sizes) {
    const double shade = sizes.size() > 1 ? place++ / static_cast<double>(sizes.size() - 1) : 0.0;
    bool is_first = true;
    for (const auto& run : runs) {
      if (run.front().n != n) continue;
      add_run(figure, what, run, shade, is_first);
      is_first = false;
    }
  }
  figure.legend_title = "N";
  return figure;
}

}  // namespace loglog::studies
