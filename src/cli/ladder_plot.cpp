#include "cli/ladder_plot.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace loglog::cli {
namespace {

using report::Figure;
using report::Mark;
using report::Series;

constexpr double kGiga = 1e-9;
constexpr double kLabelHeight = 0.042;  // of a line of text, relative to the height of the picture
constexpr double kLabelPlace = 1.5;     // of labels, to the right of the points, as a factor

std::string threads_text(int threads) {
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

// min(bandwidth x intensity, peak) from `low` to `high`: a straight line up to the ridge and one from there.
void add_roof(const Ceilings& ceiling, double low, double high, Figure& figure, Series& labels) {
  const double ridge = ceiling.fma_flops / ceiling.read_bytes;
  Series line{"", ceiling.threads == 1 ? Mark::line : Mark::dashed_line, 6};
  for (const double x : {low, ridge, high}) {
    line.x.push_back(x);
    line.y.push_back(std::min(ceiling.read_bytes * x, ceiling.fma_flops) * kGiga);
  }
  figure.series.push_back(std::move(line));
  labels.x.push_back(ridge);
  labels.y.push_back(ceiling.fma_flops * kGiga * 1.15);
  labels.hover.push_back(
      fmt::format("{:.0f} GFLOP/s float32, {}", ceiling.fma_flops * kGiga, threads_text(ceiling.threads)));
}

// Below the slope, so that it crosses no line.
void label_memory(const std::vector<Ceilings>& ceilings, double low, Series& labels) {
  std::string text = "memory, GB/s";
  for (const Ceilings& c : ceilings)
    text += fmt::format("{} {:.1f} ({})", &c == &ceilings.front() ? ":" : ",", c.read_bytes * kGiga,
                        threads_text(c.threads));
  labels.x.push_back(low * 2.5);
  labels.y.push_back(ceilings.front().read_bytes * low * 2.5 * kGiga / 2);
  labels.hover.push_back(text);
}

// Ascending rates moved apart by `step` of their logarithms, so that labels beside them do not overlap: in groups around the
// mean of what they stand for, and all below `high`.
std::vector<double> spread_labels(const std::vector<double>& rates, double step, double high) {
  struct Group {
    double sum;  // of ln rate
    std::size_t count;
    double low(double distance) const {
      return sum / static_cast<double>(count) - distance * static_cast<double>(count - 1) / 2;
    }
    double high(double distance) const { return low(distance) + distance * static_cast<double>(count - 1); }
  };
  std::vector<Group> groups;
  for (const double rate : rates) {
    groups.push_back({std::log(rate), 1});
    while (groups.size() > 1 && groups[groups.size() - 2].high(step) + step > groups.back().low(step)) {
      const Group last = groups.back();
      groups.pop_back();
      groups.back().sum += last.sum;
      groups.back().count += last.count;
    }
  }
  std::vector<double> places;
  for (const Group& group : groups) {
    for (std::size_t i = 0; i < group.count; ++i)
      places.push_back(std::exp(group.low(step) + step * static_cast<double>(i)));
  }
  double limit = high * std::exp(-step / 2);
  for (auto place = places.rbegin(); place != places.rend(); ++place) {
    *place = std::min(*place, limit);
    limit = *place * std::exp(-step);
  }
  return places;
}

// A file may have any name, a label has to end within the picture.
std::string shortened(const std::string& text) {
  constexpr std::size_t kMost = 22;
  return text.size() <= kMost ? text : text.substr(0, kMost - 3) + "...";
}

void add_rungs(const std::vector<const MeasuredRung*>& rungs, Figure& figure, Series& labels) {
  std::vector<double> rates;
  for (const MeasuredRung* rung : rungs) rates.push_back(rung->flops * kGiga);
  const std::vector<double> places =
      spread_labels(rates, kLabelHeight * std::log(*figure.y.high / *figure.y.low), *figure.y.high);
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    const MeasuredRung& rung = *rungs[i];
    const double x = rung.intensity, label_x = x * kLabelPlace;
    const std::string text =
        rung.info.number <= 0 ? rung.name : fmt::format("{} {}", rung.info.number, rung.name);
    figure.series.push_back({"", Mark::line, 6, {x * 1.06, label_x * 0.97}, {rates[i], places[i]}});
    Series point{
        "", rung.info.number <= 0 ? Mark::rings : Mark::points, rung.threads > 1 ? 1 : 0, {x}, {rates[i]}};
    point.hover.push_back(
        fmt::format("{}: {:.1f} GFLOP/s, {:.0f}% of the peak", text, rates[i], 100 * rung.share));
    figure.series.push_back(std::move(point));
    labels.x.push_back(label_x);
    labels.y.push_back(places[i]);
    labels.hover.push_back(fmt::format("{}  {:.{}f}", shortened(text), rates[i],
                                       rates[i] < 9.95   ? 2
                                       : rates[i] < 99.5 ? 1
                                                         : 0));
  }
}

}  // namespace

Figure roofline(const kernels::ladder::LadderKind& kind, const LadderResult& result) {
  Figure figure{"roofline-" + std::string(kind.name),
                fmt::format("Ladder {}, {} = {}", kind.name, kind.letters, fmt::join(result.size, ",")),
                "",
                {"FLOPs per byte of compulsory traffic", true},
                {"GFLOP/s", true}};
  std::vector<const MeasuredRung*> rungs;
  for (const MeasuredRung& rung : result.rungs)
    if (rung.missing.empty()) rungs.push_back(&rung);
  std::ranges::sort(rungs, {}, &MeasuredRung::flops);
  const double x = rungs.front()->intensity;
  double ridge = x;
  for (const Ceilings& ceiling : result.ceilings)
    ridge = std::min(ridge, ceiling.fma_flops / ceiling.read_bytes);
  const double low = std::min(ridge / 20, x / 10), high = x * 16;
  figure.x.low = low;
  figure.x.high = high;
  figure.y.low = rungs.front()->flops * kGiga / 2;
  figure.y.high = std::max(result.ceilings.back().fma_flops * 2, rungs.back()->flops * 1.5) * kGiga;
  figure.legend = false;
  Series labels{"", Mark::labels};
  // Roofs end before the column of labels, which they would cross out.
  for (const Ceilings& ceiling : result.ceilings)
    add_roof(ceiling, low, x * std::sqrt(kLabelPlace), figure, labels);
  label_memory(result.ceilings, low, labels);
  add_rungs(rungs, figure, labels);
  figure.series.push_back(std::move(labels));
  return figure;
}

}  // namespace loglog::cli
