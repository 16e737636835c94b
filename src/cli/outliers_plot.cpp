// Heat map of layers and channels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "cli/outliers.hpp"

namespace loglog::cli {

using quant::Index;

report::Figure heat_map(const OutlierResult& r) {
  report::Figure figure{"outliers",
                        fmt::format("RMS of each dimension over the median of its layer: {}", r.subject),
                        "",
                        {"dimension"},
                        {fmt::format("layer (within one, from below: {})", fmt::join(r.sites, ", "))}};
  if (r.sites.size() == 1) figure.y.label = fmt::format("layer ({})", r.sites.front());
  figure.colour = {"RMS / median RMS", true};
  figure.legend = false;
  report::Series cells{"", report::Mark::cells};
  const auto sites = static_cast<double>(r.sites.size());
  double layers = 0, highest = 1;
  Index width = 0;
  for (const quant::ActivationSums::Entry& entry : r.survey.sums.entries()) {
    const auto site = std::ranges::find(r.sites, entry.spot.site);
    if (site == r.sites.end()) continue;
    const quant::ChannelSums& s = entry.sums;
    const double median = s.median_rms();
    // The rows of a layer share the unit around its number.
    const double y = static_cast<double>(entry.spot.layer) +
                     (static_cast<double>(site - r.sites.begin()) + 0.5) / sites - 0.5;
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
  // Half the median is as dark as it gets: what is small is not the matter here.
  figure.colour.low = 0.5;
  figure.colour.high = std::max(highest, 4.0);
  figure.series.push_back(std::move(cells));
  return figure;
}

}  // namespace loglog::cli
