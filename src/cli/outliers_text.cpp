// The result of `loglog outliers` for people.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"
#include "cli/outliers.hpp"
#include "quant/activations/activation_dump.hpp"

namespace loglog::cli {
namespace {

using quant::Index;

std::string plain(double x, int digits = 3) {
  return std::isfinite(x) ? fmt::format("{:.{}g}", x, digits) : "-";
}

// "blocks.3.qkv", but shorter: hidden states stand in the order in which the text goes through them.
std::string label(const quant::Spot& spot) {
  return fmt::format("{} {}", spot.site, spot.layer);
}

void print_head(const OutlierArguments& a, const OutlierResult& r) {
  fmt::print("{}: {} positions", r.subject, r.positions());
  if (const eval::SurveyedModel* const m = r.model(); m != nullptr)
    fmt::print(" of {} ({}), loss {:.4f} nats per token, perplexity {:.3f}", r.data, a.data.split, m->loss,
               std::exp(m->loss));
  fmt::print(
      "\nOf {}: an outlier reaches the magnitude in at least {} of the layers and at {} of the positions\n",
      fmt::join(r.survey().sites, ", "), percent(a.survey.rule.layer_share),
      percent(a.survey.rule.position_share));
}

void print_criteria(const OutlierResult& r) {
  fmt::print("\n{:<22} {:>8} {:>8} {:>8} {:>10} {:>12} {:>9}\n", "magnitude", "reached", "outliers", "layers",
             "positions", "values/2048", "one sign");
  for (const quant::Criterion& c : r.survey().criteria) {
    const quant::OutlierVerdict& v = c.verdict;
    fmt::print("{:<22} {:>8} {:>8} {:>8} {:>10} {:>12.1f} {:>9}\n",
               c.is_relative ? fmt::format(">= {:g} x median RMS", c.magnitude)
                             : fmt::format(">= {:g}", c.magnitude),
               v.reached, v.outliers.size(), percent(v.layer_share), percent(v.position_share),
               v.values_per_2048, percent(v.sign_purity));
  }
}

// Where it is largest, as what the norm's gain does to what comes out of the norm.
std::string split_text(const OutlierResult& r, Index channel) {
  const quant::ActivationSums::Entry* most = nullptr;
  const auto magnitude = [&](const quant::ActivationSums::Entry& e) {
    return std::abs(e.sums.channels()[static_cast<std::size_t>(channel)].largest);
  };
  for (const quant::ActivationSums::Entry& entry : r.survey().sums.entries()) {
    if (std::ranges::find(r.survey().sites, entry.spot.site) == r.survey().sites.end()) continue;
    if (most == nullptr || magnitude(entry) > magnitude(*most)) most = &entry;
  }
  const quant::Channel& c = most->sums.channels()[static_cast<std::size_t>(channel)];
  std::string text = fmt::format("{} in {}", plain(c.largest), label(most->spot));
  const auto norm = r.norm ? r.norm(most->spot, channel) : std::nullopt;
  if (!norm) return text;
  const quant::NormSplit split = quant::split(c, norm->first, norm->second);
  return text + fmt::format(": gain {} x |z| {} {} bias {}", plain(split.gain), plain(split.z_largest),
                            split.bias < 0 ? "-" : "+", plain(std::abs(split.bias)));
}

void print_outlier_channels(const OutlierResult& r) {
  const quant::OutlierVerdict& v = r.survey().criteria.front().verdict;
  if (v.outliers.empty()) return;
  fmt::print("\n{:>9} {:>8} {:>10} {:>12} {:>9}  {}\n", "dimension", "layers", "positions", "values/2048",
             "one sign", "largest");
  for (const quant::OutlierChannel& o : v.outliers)
    fmt::print("{:>9} {:>8} {:>10} {:>12.1f} {:>9}  {}\n", o.channel, percent(o.layer_share),
               percent(o.position_share), o.values_per_2048,
               percent(o.sign_purity) + (o.positive ? " +" : " -"), split_text(r, o.channel));
}

void print_states(const OutlierArguments& a, const OutlierResult& r) {
  fmt::print("\n{:<20} {:>9} {:>9} {:>9} {:>10} {:>8} {:>9}  {}\n", "hidden state", "median", "RMS",
             "largest", "max/median", "kurtosis", "massive", "top dimensions");
  for (const quant::ActivationSums::Entry& entry : r.survey().sums.entries()) {
    const quant::ChannelSums& s = entry.sums;
    const float largest = s.channels()[static_cast<std::size_t>(s.largest())].largest;
    fmt::print("{:<20} {:>9} {:>9} {:>9} {:>10} {:>8} {:>9}  {}\n", label(entry.spot),
               plain(s.median_magnitude()), plain(s.rms()), plain(largest), plain(s.max_to_median()),
               plain(s.kurtosis()), quant::massive_channels(s).size(),
               fmt::join(s.top(std::min<Index>(a.survey.top, 6)), " "));
  }
}

void print_overlap(const OutlierArguments& a, const OutlierResult& r) {
  const quant::ChannelOverlap& o = r.survey().overlap;
  if (std::isnan(o.observed)) return;
  fmt::print(
      "\nTwo layers have {} of their top {} dimensions in common; by chance {} (p {} {:.2g}, {} "
      "permutations)\n",
      percent(o.observed), a.survey.top, percent(o.expected),
      o.p <= 1.0 / static_cast<double>(o.draws) ? "<=" : "=", o.p, o.draws);
}

// A value of a stream, and how it stands out.
void print_value(const OutlierResult& r, const quant::ActivationSums::Entry& entry, Index channel) {
  const quant::Channel& c = entry.sums.channels()[static_cast<std::size_t>(channel)];
  fmt::print("{} dimension {}: {:.4g}, {} times the median magnitude, at position {}\n", label(entry.spot),
             channel, c.largest, plain(std::abs(double(c.largest)) / entry.sums.median_magnitude(), 4),
             r.context > 0 ? c.largest_row % r.context : c.largest_row);
}

// The massive activations of Sun et al. are values of the stream.
void print_massive(const OutlierResult& r) {
  const quant::ActivationSums::Entry* most = nullptr;
  bool any = false;
  fmt::print("\n");
  const auto ratio = [](const quant::ActivationSums::Entry& e) {
    return std::abs(double(e.sums.channels()[static_cast<std::size_t>(e.sums.largest())].largest)) /
           e.sums.median_magnitude();
  };
  for (const quant::ActivationSums::Entry& entry : r.survey().sums.entries()) {
    if (!entry.spot.site.ends_with("stream") && entry.spot.site != "given") continue;
    if (most == nullptr || ratio(entry) > ratio(*most)) most = &entry;
    for (const Index j : quant::massive_channels(entry.sums)) {
      fmt::print("massive activation: ");
      print_value(r, entry, j);
      any = true;
    }
  }
  if (any || most == nullptr) return;
  fmt::print(
      "No massive activation (above 100 and 1,000 times the median magnitude of its stream); the nearest "
      "is\n");
  print_value(r, *most, most->sums.largest());
}

void print_attention(const quant::AttentionFocus& focus) {
  fmt::print("\n{:<12} {:>16} {:>14}  {}\n", "attention", "on its top token", "on the first",
             "by head, on the first");
  for (const auto& [layer, heads] : focus.layers()) {
    std::vector<std::string> sinks;
    for (const quant::HeadFocus& h : heads) sinks.push_back(percent(h.sink / static_cast<double>(h.queries)));
    fmt::print("{:<12} {:>16} {:>14}  {}\n", fmt::format("layer {}", layer), percent(mean_top1(heads)),
               percent(mean_sink(heads)), fmt::join(sinks, " "));
  }
  fmt::print("{:<12} {:>16} {:>14}\n", "all", percent(focus.top1()), percent(focus.sink()));
}

std::string change(double loss, double from) {
  const double percents = 100 * std::expm1(loss - from);
  return std::isnan(percents) ? "-" : fmt::format("{:+.4g}%", percents);
}

void print_zeroing(const eval::SurveyedModel& m, const eval::Zeroing& z) {
  const double top1 = m.attention.top1();
  fmt::print("\n{:<34} {:>14} {:>16}\n", fmt::format("zeroed at {}", fmt::join(m.survey.sites, ", ")),
             "perplexity", "top attention");
  fmt::print("{:<34} {:>14.4f} {:>16}\n", "nothing", std::exp(m.loss), percent(top1));
  const std::string count = fmt::format("{}", z.chosen.channels.size());
  fmt::print("{:<34} {:>14} {:>16}\n",
             m.survey.outliers().empty() ? count + " of largest RMS (no outliers)" : count + " outliers",
             change(z.chosen.loss, m.loss), percent(z.chosen.top1));
  std::vector<double> losses, tops;
  for (const eval::Zeroed& one : z.random) {
    losses.push_back(one.loss);
    tops.push_back(one.top1);
  }
  fmt::print("{:<34} {:>14} {:>16}\n", fmt::format("{} random, median of {} draws", count, losses.size()),
             change(median(losses), m.loss), percent(median(tops)));
  fmt::print("{:<34} {:>14}\n", "  the draw that does most",
             change(*std::ranges::max_element(losses), m.loss));
  for (std::size_t i = 0; i < z.by_layer.size(); ++i) {
    const eval::Zeroed &one = z.by_layer[i], &random = z.random_by_layer[i];
    fmt::print("{:<34} {:>14} {:>16}  there, from {}; random {}, {}\n",
               fmt::format("  in layer {} alone", *one.layer), change(one.loss, m.loss), percent(one.top1),
               percent(mean_top1(m.attention.layers().at(*one.layer))), change(random.loss, m.loss),
               percent(random.top1));
  }
  if (!z.by_layer.empty())
    fmt::print("{:<34} {:>14} {:>16}  from {}; random {}\n", "  each layer alone, mean", "",
               percent(mean_top1_alone(z.by_layer)), percent(top1),
               percent(mean_top1_alone(z.random_by_layer)));
}

}  // namespace

std::string percent(double share) {
  return std::isnan(share) ? "-" : fmt::format("{:.1f}%", 100 * share);
}

void print_outliers(const OutlierArguments& a, const OutlierResult& r) {
  print_head(a, r);
  print_criteria(r);
  print_outlier_channels(r);
  print_states(a, r);
  print_overlap(a, r);
  print_massive(r);
  if (r.model() != nullptr) print_attention(r.model()->attention);
  if (r.zeroing) print_zeroing(*r.model(), *r.zeroing);
}

}  // namespace loglog::cli
