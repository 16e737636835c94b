// The result of `loglog outliers --json`; docs/formats.md explains every field.
#include <cmath>

#include "cli/outliers.hpp"
#include "quant/activations/activation_dump.hpp"
#include "train/run_record.hpp"

namespace loglog::cli {
namespace {

using quant::Index;
using train::Json;
using train::number;

Json verdict_json(const quant::Criterion& c) {
  const quant::OutlierVerdict& v = c.verdict;
  Json outliers = Json::array();
  for (const quant::OutlierChannel& o : v.outliers)
    outliers.push_back({{"dimension", o.channel},
                        {"layer_share", o.layer_share},
                        {"position_share", o.position_share},
                        {"value_share", o.value_share},
                        {"values_per_2048", o.values_per_2048},
                        {"sign_purity", o.sign_purity},
                        {"sign", o.positive ? "+" : "-"},
                        {"layers", o.layers}});
  return {{"magnitude", c.magnitude},
          {"relative", c.is_relative},
          {"reached", v.reached},
          {"outliers", outliers},
          {"layer_share", number(v.layer_share)},
          {"position_share", number(v.position_share)},
          {"values_per_2048", v.values_per_2048},
          {"sign_purity", number(v.sign_purity)}};
}

Json channel_json(const OutlierResult& r, const quant::ActivationSums::Entry& entry, Index j) {
  const quant::Channel& c = entry.sums.channels()[static_cast<std::size_t>(j)];
  Json out = {{"dimension", j},
              {"rms", number(std::sqrt(entry.sums.mean_square(j)))},
              {"largest", c.largest},
              {"position", r.context > 0 ? c.largest_row % r.context : c.largest_row}};
  if (r.context > 0) out["window"] = c.largest_row / r.context;
  const auto norm = r.norm ? r.norm(entry.spot, j) : std::nullopt;
  if (!norm) return out;
  const quant::NormSplit split = quant::split(c, norm->first, norm->second);
  out["gain"] = split.gain;
  out["bias"] = split.bias;
  out["z_rms"] = number(split.z_rms);
  out["z_largest"] = number(split.z_largest);
  return out;
}

// The one that tells a massive activation.
Json largest_json(const OutlierResult& r, const quant::ActivationSums::Entry& entry) {
  Json out = channel_json(r, entry, entry.sums.largest());
  out["over_median"] = number(std::abs(out["largest"].get<double>()) / entry.sums.median_magnitude());
  return out;
}

Json reached_json(const OutlierResult& r, const quant::Spot& spot) {
  Json list = Json::array();
  for (const quant::Criterion& c : r.survey().criteria) {
    const quant::SpotHits* const hits = c.counts->find(spot);
    if (hits == nullptr) continue;  // the second pass sees the sites that count alone
    std::uint64_t values = 0, channels = 0;
    for (const quant::Hits& h : hits->channels) {
      values += h.values;
      channels += h.values > 0;
    }
    list.push_back({{"magnitude", c.magnitude},
                    {"relative", c.is_relative},
                    {"threshold", number(hits->threshold)},
                    {"dimensions", channels},
                    {"values", values}});
  }
  return list;
}

// The top channels, and the outliers where they are others.
std::vector<Index> shown_channels(const OutlierResult& r, const quant::ActivationSums::Entry& entry,
                                  Index top) {
  std::vector<Index> channels = entry.sums.top(top);
  if (std::ranges::find(r.survey().sites, entry.spot.site) == r.survey().sites.end()) return channels;
  for (const Index j : r.survey().outliers())
    if (std::ranges::find(channels, j) == channels.end()) channels.push_back(j);
  return channels;
}

Json spot_json(const OutlierArguments& a, const OutlierResult& r, const quant::ActivationSums::Entry& entry) {
  const quant::ChannelSums& s = entry.sums;
  Json out = {{"name", quant::dump_name(entry.spot)},
              {"site", entry.spot.site},
              {"layer", entry.spot.layer},
              {"dimensions", s.width()},
              {"nonfinite", s.nonfinite()},
              {"rms", number(s.rms())},
              {"median_rms", number(s.median_rms())},
              {"median_magnitude", number(s.median_magnitude())},
              {"kurtosis", number(s.kurtosis())},
              {"max_to_median", number(s.max_to_median())},
              {"largest", largest_json(r, entry)},
              {"massive", quant::massive_channels(s)},
              {"reached", reached_json(r, entry.spot)},
              {"top", Json::array()}};
  for (const Index j : shown_channels(r, entry, a.survey.top))
    out["top"].push_back(channel_json(r, entry, j));
  return out;
}

Json attention_json(const quant::AttentionFocus& focus) {
  Json layers = Json::array();
  for (const auto& [layer, heads] : focus.layers()) {
    Json top1 = Json::array(), sink = Json::array();
    for (const quant::HeadFocus& h : heads) {
      top1.push_back(number(h.top1 / static_cast<double>(h.queries)));
      sink.push_back(number(h.sink / static_cast<double>(h.queries)));
    }
    layers.push_back({{"layer", layer},
                      {"top1", number(mean_top1(heads))},
                      {"first_token", number(mean_sink(heads))},
                      {"heads_top1", top1},
                      {"heads_first_token", sink}});
  }
  return {{"top1", number(focus.top1())}, {"first_token", number(focus.sink())}, {"layers", layers}};
}

Json zeroed_json(const eval::Zeroed& one, double loss) {
  Json out = {{"dimensions", one.channels},
              {"loss", number(one.loss)},
              {"perplexity_change", number(std::expm1(one.loss - loss))},
              {"top1", number(one.top1)}};
  if (one.layer) out["layer"] = *one.layer;
  return out;
}

Json zeroing_json(const eval::SurveyedModel& m, const eval::Zeroing& z) {
  Json out = {{"chosen_by", m.survey.outliers().empty() ? "rms" : "criterion"},
              {"loss", number(m.loss)},
              {"top1", number(m.attention.top1())},
              {"outliers", zeroed_json(z.chosen, m.loss)},
              {"random", Json::array()}};
  for (const eval::Zeroed& one : z.random) out["random"].push_back(zeroed_json(one, m.loss));
  for (const eval::Zeroed& one : z.by_layer) out["by_layer"].push_back(zeroed_json(one, m.loss));
  for (const eval::Zeroed& one : z.random_by_layer)
    out["random_by_layer"].push_back(zeroed_json(one, m.loss));
  if (!z.by_layer.empty())
    out["top1_alone"] = {{"outliers", number(mean_top1_alone(z.by_layer))},
                         {"random", number(mean_top1_alone(z.random_by_layer))}};
  return out;
}

}  // namespace

nlohmann::ordered_json outliers_json(const OutlierArguments& a, const OutlierResult& r) {
  nlohmann::ordered_json out;
  const eval::SurveyedModel* const model = r.model();
  out[model != nullptr ? "model" : "activations"] = r.subject;
  if (model != nullptr) {
    out["step"] = r.step;
    out["data"] = r.data;
    out["split"] = a.data.split;
    out["isa"] = r.isa;
    out["loss"] = number(model->loss);
    out["perplexity"] = number(std::exp(model->loss));
  }
  out["positions"] = r.positions();
  out["nonfinite"] = r.survey().sums.nonfinite();
  out["sites"] = r.survey().sites;
  out["layer_share"] = a.survey.rule.layer_share;
  out["position_share"] = a.survey.rule.position_share;
  out["kurtosis"] = number(r.survey().kurtosis(r.survey().sites));
  out["max_to_median"] = number(r.survey().max_to_median(r.survey().sites));
  for (const quant::Criterion& c : r.survey().criteria) out["criteria"].push_back(verdict_json(c));
  const quant::ChannelOverlap& overlap = r.survey().overlap;
  out["overlap"] = {{"top", r.survey().tops},
                    {"observed", number(overlap.observed)},
                    {"expected", number(overlap.expected)},
                    {"p", number(overlap.p)},
                    {"draws", overlap.draws},
                    {"seed", a.survey.seed}};
  for (const quant::ActivationSums::Entry& entry : r.survey().sums.entries())
    out["states"].push_back(spot_json(a, r, entry));
  if (model != nullptr) out["attention"] = attention_json(model->attention);
  if (r.zeroing) out["zeroing"] = zeroing_json(*model, *r.zeroing);
  return out;
}

}  // namespace loglog::cli
