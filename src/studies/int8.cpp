// LLM.int8() (Dettmers, Lewis, Belkada & Zettlemoyer 2022): outlier features break int8, and mixed-precision decomposition mends it.
//
// Outliers are planted (quant/plant.hpp), so that their size is known and float32 computes what it did; what changes is quantisation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/form_losses.hpp"
#include "quant/plant.hpp"
#include "quant/weights.hpp"
#include "studies/int8_speed.hpp"
#include "studies/model_arms.hpp"
#include "studies/studies.hpp"

namespace loglog::studies {
namespace {

constexpr double kScales[] = {1, 2, 4, 8, 16, 32, 64, 128};
constexpr std::uint64_t kResamples = 2000;

// Forms in which each model is run, float32 apart. Those that decompose are calibrated.
struct FormName {
  const char* scheme;
  const char* title;
};
constexpr FormName kForms[] = {{"absmax-tensor", "absmax"},
                               {"absmax-row", "absmax row-wise"},
                               {"absmax-vector", "absmax vector-wise"},
                               {"zeropoint-tensor", "zeropoint"},
                               {"zeropoint-row", "zeropoint row-wise"},
                               {"zeropoint-vector", "zeropoint vector-wise"},
                               {"row-decomposition", "row-wise + decomposition"},
                               {"llm-int8", "LLM.int8() absmax"},
                               {"llm-int8-zeropoint", "LLM.int8() zeropoint"}};
enum Form {
  tensor,
  row,
  vector,
  zeropoint_tensor,
  zeropoint_row,
  zeropoint_vector,
  row_decomposition,
  llm,
  llm_zeropoint
};
constexpr std::size_t kFormCount = std::size(kForms);

// What each form of a model adds to its per-byte perplexity: relative to float32, with resampled ones.
struct Arm {
  double float_loss = 0;  // nats per token
  eval::ClusteredMean float_clusters;
  double rise[kFormCount] = {};
  std::vector<double> samples[kFormCount];
  quant::ProductCounts counts[kFormCount] = {};
  std::size_t bytes[kFormCount] = {}, float_bytes = 0;
};

std::optional<Arm> measure(const model::OpenedModel& model, const ArmTexts& texts, const Manifest& manifest,
                           const Workplace& w) {
  const quant::Setting setting{*w.table, w.threads, model::FloatType::float32};
  const auto calibration = calibrated(setting, model, texts, w.stop);
  const auto exact = calibration ? losses_in(setting, model, nullptr, texts.text(), w.stop) : std::nullopt;
  if (!exact) return std::nullopt;
  Arm arm;
  arm.float_loss = exact->loss, arm.float_clusters = exact->clusters, arm.float_bytes = exact->weight_bytes;
  std::vector<eval::FormLosses> forms;
  for (const FormName& form : kForms) {
    const quant::Plan plan{quant::find_scheme(form.scheme)};
    const quant::WeightsOfModel weights(model, plan, {&*calibration, manifest("calibration_share")});
    auto losses = losses_in(setting, model, &weights, texts.text(), w.stop);
    if (!losses) return std::nullopt;
    forms.push_back(std::move(*losses));
  }
  std::vector<const eval::ClusteredMean*> all = {&exact->clusters};
  for (const eval::FormLosses& form : forms) all.push_back(&form.clusters);
  const auto means = eval::resampled_means(all, kResamples, w.seed);
  const double bytes = texts.bytes_per_token();
  for (std::size_t f = 0; f < kFormCount; ++f) {
    arm.rise[f] = std::expm1((forms[f].loss - exact->loss) / bytes);
    for (const auto& mean : means) arm.samples[f].push_back(std::expm1((mean[f + 1] - mean[0]) / bytes));
    arm.counts[f] = forms[f].counts, arm.bytes[f] = forms[f].weight_bytes;
  }
  return arm;
}

// f of the rises, and of each resample.
template <class F>
Measure measure_of(std::string name, const Arm& arm, F&& f) {
  Measure m;
  m.name = std::move(name);
  m.value = f([&](Form form) { return arm.rise[form]; });
  for (std::uint64_t r = 0; r < kResamples; ++r)
    m.samples.push_back(f([&](Form form) { return arm.samples[form][r]; }));
  return m;
}

Measure& asked(Measure&& m, std::vector<Measure>& list, double low, double high, double null = Measure::kNone,
               double least = 0) {
  m.low = low, m.high = high, m.null = null, m.least = least;
  return list.emplace_back(std::move(m));
}

// The planted models of one kind, by scale.
struct Planted {
  std::string model;
  bool one_signed;
  std::vector<Arm> arms;  // as kScales
  double judged_scale;
  const Arm& judged() const {
    return arms[static_cast<std::size_t>(std::ranges::find(kScales, judged_scale) - std::begin(kScales))];
  }
  std::string where() const {
    return fmt::format("{} x {:.0f}", one_signed ? "one-signed" : "two-signed", judged_scale);
  }
};

constexpr double kInf = Measure::kInfinity;

// Of two-signed outliers: one-signed ones of this size leave so little of the model that perplexities saturate, and no ratio of them says
// anything.
std::vector<Measure> broken_measures(const Planted& p, const Manifest& m) {
  std::vector<Measure> list;
  if (p.one_signed) return list;
  const Arm& arm = p.judged();
  asked(measure_of(p.where() + ": vector-wise rise", arm, [](auto r) { return r(vector); }), list,
        m("vector_rise_least"), kInf, 0, 0.01);
  asked(measure_of(p.where() + ": tensor-wise over vector-wise", arm,
                   [](auto r) { return r(tensor) / r(vector); }),
        list, m("tensor_over_vector_least"), kInf, 1);
  return list;
}

std::vector<Measure> order_measures(const Planted& p) {
  std::vector<Measure> list;
  const Arm& arm = p.judged();
  const auto more = [&](Form a, Form b) {
    asked(measure_of(fmt::format("{}: {} minus {}", p.where(), kForms[a].title, kForms[b].title), arm,
                     [a, b](auto r) { return r(a) - r(b); }),
          list, 0, kInf, 0);
  };
  more(tensor, vector), more(vector, zeropoint_vector), more(zeropoint_vector, llm);
  return list;
}

std::vector<Measure> row_measures(const Planted& p, const Manifest& m) {
  std::vector<Measure> list;
  const Arm& arm = p.judged();
  asked(measure_of(p.where() + ": row-wise over vector-wise", arm, [](auto r) { return r(row) / r(vector); }),
        list, m("row_over_vector_low"), m("row_over_vector_high"));
  for (const Form f : {row, vector})
    asked(
        measure_of(fmt::format("{}: {} rise", p.where(), kForms[f].title), arm, [f](auto r) { return r(f); }),
        list, m("broken_rise_least"), kInf, 0);
  return list;
}

// The largest rise over all scales, resample by resample.
std::vector<Measure> mended_measures(const Planted& p, const Manifest& m) {
  std::vector<Measure> list;
  for (const Form f : {llm, row_decomposition}) {
    Measure most;
    most.name =
        fmt::format("{}, every scale: {} rise", p.one_signed ? "one-signed" : "two-signed", kForms[f].title);
    const auto largest = [&](auto of_arm) {
      double x = -kInf;
      for (const Arm& arm : p.arms) x = std::max(x, of_arm(arm));
      return x;
    };
    most.value = largest([f](const Arm& a) { return a.rise[f]; });
    for (std::uint64_t r = 0; r < kResamples; ++r)
      most.samples.push_back(largest([f, r](const Arm& a) { return a.samples[f][r]; }));
    asked(std::move(most), list, -kInf, m("decomposition_rise_most"));
  }
  return list;
}

// Least squares over the scales 16, 32 and 64; two-signed, as above.
std::vector<Measure> slope_measures(const Planted& p, const Manifest& m) {
  if (p.one_signed) return {};
  const auto slope = [&](auto of_arm) {
    const std::size_t first = 4;  // 16
    const auto y = [&](std::size_t i) { return std::log(of_arm(p.arms[first + i])); };
    return (y(2) - y(0)) / (2 * std::log(2.0));  // of three equidistant points, the middle one has no part
  };
  Measure s;
  s.name = "two-signed: slope of vector-wise rise, 16 to 64";
  s.value = slope([](const Arm& a) { return a.rise[vector]; });
  for (std::uint64_t r = 0; r < kResamples; ++r)
    s.samples.push_back(slope([r](const Arm& a) { return a.samples[vector][r]; }));
  std::vector<Measure> list;
  asked(std::move(s), list, m("slope_low"), m("slope_high"), 0);
  return list;
}

std::vector<Measure> edge_measures(const Planted& p, const Manifest& m) {
  std::vector<Measure> list;
  asked(measure_of(p.where() + ": zeropoint's gain with decomposition, of that without", p.judged(),
                   [](auto r) { return (r(llm) - r(llm_zeropoint)) / (r(vector) - r(zeropoint_vector)); }),
        list, -kInf, m("zeropoint_edge_most"), 1);
  return list;
}

const char* const kPaperTable =
    "C4 perplexity at 13B: float32 12.45, absmax 19.08, vector-wise 16.48, zeropoint vector-wise 13.47, "
    "LLM.int8() 12.45";

std::string percent(double x) {
  return fmt::format("{:.4g}%", 100 * x);
}

std::string with_interval(const Arm& arm, std::size_t f) {
  Measure m;
  m.value = arm.rise[f], m.samples = arm.samples[f];
  return fmt::format("{:.3g} [{:.3g}, {:.3g}]", 100 * m.value, 100 * m.quantile(0.025),
                     100 * m.quantile(0.975));
}

Table natural_table(const std::vector<std::pair<std::string, Arm>>& arms, const ArmTexts& texts) {
  Table table{"Models as they were trained: rise of per-byte perplexity in %", {"scheme"}, {}, ""};
  for (const auto& [name, arm] : arms) table.header.push_back(name);
  std::vector<std::string> exact = {"float32: perplexity per byte"};
  for (const auto& [name, arm] : arms)
    exact.push_back(fmt::format("{:.4f}", std::exp(arm.float_loss / texts.bytes_per_token())));
  table.rows.push_back(exact);
  for (std::size_t f = 0; f < kFormCount; ++f) {
    std::vector<std::string> line = {kForms[f].title};
    for (const auto& [name, arm] : arms) line.push_back(with_interval(arm, f));
    table.rows.push_back(line);
  }
  table.note =
      "95% intervals: paired bootstrap over blocks of at most 64 KiB of text. " + protocol_of(texts.text());
  return table;
}

Table planted_table(const Planted& p) {
  Table table{fmt::format("Planted, {}, {}: rise of per-byte perplexity in %", p.model,
                          p.one_signed ? "one-signed" : "two-signed"),
              {"scheme"},
              {},
              ""};
  for (const double s : kScales) table.header.push_back(fmt::format("s = {:.0f}", s));
  for (std::size_t f = 0; f < kFormCount; ++f) {
    std::vector<std::string> line = {kForms[f].title};
    for (const Arm& arm : p.arms) line.push_back(fmt::format("{:.3g}", 100 * arm.rise[f]));
    table.rows.push_back(line);
  }
  std::vector<std::string> share = {"products in int8, LLM.int8()"};
  for (const Arm& arm : p.arms) share.push_back(percent(arm.counts[llm].int8_share()));
  table.rows.push_back(share);
  return table;
}

report::Figure planted_figure(const Planted& p) {
  report::Figure figure;
  figure.name = fmt::format("planted-{}", p.one_signed ? "one-signed" : "two-signed");
  figure.title = fmt::format("What outliers of scale s cost, {}", p.one_signed ? "one-signed" : "two-signed");
  figure.caption =
      "Rise of per-byte perplexity against float32, which the planting leaves as it is. Points below 0.001% "
      "are left out.";
  figure.x = {"scale s of the planted channels", true};
  figure.y = {"rise of perplexity, %", true};
  for (const Form f : {tensor, row, vector, zeropoint_vector, row_decomposition, llm}) {
    report::Series series;
    series.label = kForms[f].title, series.mark = report::Mark::line,
    series.colour = static_cast<int>(figure.series.size());
    for (std::size_t i = 0; i < p.arms.size(); ++i) {
      const double rise = 100 * p.arms[i].rise[f];
      if (rise < 1e-3) continue;
      series.x.push_back(kScales[i]), series.y.push_back(rise);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

// Plants into copies of a model, scale after scale.
std::optional<Planted> measure_planted(const TrainedModel& trained, const Arm& natural, bool one_signed,
                                       const ArmTexts& texts, const Manifest& manifest, const Workplace& w,
                                       std::vector<Control>& controls) {
  Planted result{
      trained.name, one_signed, {}, manifest(one_signed ? "scale_one_signed" : "scale_two_signed")};
  Control exact{
      fmt::format("{}, {}: float32 after planting", trained.name, one_signed ? "one-signed" : "two-signed"),
      false, true, ""};
  Control found{
      fmt::format("{}, {}: planted channels found", trained.name, one_signed ? "one-signed" : "two-signed"),
      true, true, ""};
  double largest = 0;
  for (const double scale : kScales) {
    w.say(fmt::format("{}: planted {} x {:.0f}", trained.name, one_signed ? "one-signed" : "two-signed",
                      scale));
    auto gpt = copy_of(trained.model);
    quant::Planting planting{scale, one_signed, {}, {}};
    planting.channels = quant::choose_channels(*gpt, static_cast<quant::Index>(manifest("dims")), {}, w.seed);
    const quant::Planted planted = quant::plant(*gpt, planting);
    const model::OpenedModel model = in_memory(trained.model, *gpt);
    auto arm = measure(model, texts, manifest, w);
    if (!arm) return std::nullopt;
    largest = std::max(largest, std::fabs(arm->float_loss - natural.float_loss));
    if (scale == result.judged_scale) {
      const auto outliers =
          find_outliers({*w.table, w.threads, model::FloatType::float32}, model, texts, w.stop);
      if (!outliers) return std::nullopt;
      const bool all = std::ranges::includes(*outliers, planted.planting.channels);
      found.behaved = all && outliers->size() == planted.planting.channels.size();
      found.text = fmt::format("{} planted, {} found at 6.0, {} of them planted",
                               planted.planting.channels.size(), outliers->size(), all ? "all" : "not all");
    }
    result.arms.push_back(std::move(*arm));
  }
  exact.behaved = one_signed ? largest < 1e-4 : largest == 0;  // biases are rounded where they were raised
  exact.text = one_signed     ? fmt::format("losses differ by at most {:.2g} nats", largest)
               : largest == 0 ? "losses are the same to the last bit"
                              : fmt::format("losses differ by {:.2g}", largest);
  controls.push_back(std::move(exact));
  controls.push_back(std::move(found));
  if (one_signed) return result;  // whose scale 1 has raised biases
  Control null{fmt::format("{}, {}: scale 1", trained.name, one_signed ? "one-signed" : "two-signed"), false,
               true, ""};
  const double most = *std::ranges::max_element(result.arms.front().rise);
  null.behaved = most <= manifest("null_rise_most");
  null.text = fmt::format("no scheme raises perplexity by more than {}", percent(most));
  controls.push_back(std::move(null));
  return result;
}

Finding finding(const std::vector<Claim>& claims, std::size_t i, std::vector<Measure> measures) {
  Finding f;
  f.claim = claims[i];
  f.measures = std::move(measures);
  return f;
}

Measure memory_measure(const TrainedModel& t, const kernels::KernelTable& table, const Manifest& manifest) {
  Measure m;
  m.name = t.name + ": bytes over float32's";
  m.value = int8_bytes_ratio(table, t.model.config.model);
  m.high = manifest("memory_ratio_most");
  return m;
}

std::vector<Claim> claims_of(const Manifest& m) {
  return {
      {"C1", "outlier features break int8: tensor-wise most, vector-wise too",
       fmt::format("planted: vector-wise rise at least {}, tensor-wise at least {} times that",
                   percent(m("vector_rise_least")), m("tensor_over_vector_least")),
       kPaperTable},
      {"C2", "tensor-wise, vector-wise, zeropoint vector-wise, LLM.int8(), in this order",
       "planted: each rise above the next", kPaperTable},
      {"C3", "scales by rows do not mend it, for outliers stand in columns",
       fmt::format("planted: row-wise {} to {} of vector-wise, both at least {}", m("row_over_vector_low"),
                   m("row_over_vector_high"), percent(m("broken_rise_least"))),
       "13B: row-wise 16.49, vector-wise 16.48"},
      {"C4", "mixed-precision decomposition mends it",
       fmt::format("planted, every scale: rise at most {}", percent(m("decomposition_rise_most"))),
       "13B: LLM.int8() 12.45, row-wise + decomposition 12.46, float32 12.45"},
      {"C5", "the harm grows with the square of the outliers",
       fmt::format("planted: log-log slope {} to {}", m("slope_low"), m("slope_high")),
       "not in the paper: rounding noise is proportional to the scale"},
      {"C6", "zeropoint's edge is gone once outliers are decomposed",
       fmt::format("planted: at most {} of its gain is left", m("zeropoint_edge_most")),
       "13B: 3.01 without decomposition, 0.00 with it"},
      {"C7", "LLM.int8() loses nothing on models as they are",
       fmt::format("rise at most {}", percent(m("natural_rise_most"))),
       "125M to 13B: at most 0.7%, 0 at 13B"},
      {"C8", "int8 pays from some width on",
       fmt::format("faster than float32 at the largest width measured, slower or less so at the smallest"),
       "against fp16 on GPUs: 0.64 and 0.86 times as fast at 2.7B and 6.7B, 1.22 and 1.81 at 13B and 175B"},
      {"C9", "memory halves against 16 bits",
       fmt::format("linear layers take at most {} of float32's", percent(m("memory_ratio_most"))),
       "BLOOM-176B: 1.96 times less than 16 bits"},
  };
}

std::optional<Result> run(const Manifest& manifest, const Workplace& w) {
  const auto trained = trained_models(w, w.effort == Effort::quick ? "int8-quick" : "int8-full");
  if (!trained) return std::nullopt;
  Result result;
  const ArmTexts texts(w.data, trained->front().model.config, manifest);
  std::vector<std::pair<std::string, Arm>> natural;
  std::vector<Planted> planted;
  for (const TrainedModel& t : *trained) {
    w.say(fmt::format("{}: as it was trained", t.name));
    auto arm = measure(t.model, texts, manifest, w);
    if (!arm) return std::nullopt;
    natural.emplace_back(t.name, std::move(*arm));
    constexpr kernels::Index kWidth = 256;  // of which six channels are 2%
    if (t.model.config.model.width < kWidth) continue;
    for (const bool one_signed : {false, true}) {
      auto p = measure_planted(t, natural.back().second, one_signed, texts, manifest, w, result.controls);
      if (!p) return std::nullopt;
      planted.push_back(std::move(*p));
    }
  }
  const auto claims = claims_of(manifest);
  const auto of_planted = [&](auto measures) {
    std::vector<Measure> all;
    for (const Planted& p : planted)
      for (Measure& m : measures(p)) all.push_back(std::move(m));
    return all;
  };
  result.findings = {
      finding(claims, 0, of_planted([&](const Planted& p) { return broken_measures(p, manifest); })),
      finding(claims, 1, of_planted(order_measures)),
      finding(claims, 2, of_planted([&](const Planted& p) { return row_measures(p, manifest); })),
      finding(claims, 3, of_planted([&](const Planted& p) { return mended_measures(p, manifest); })),
      finding(claims, 4, of_planted([&](const Planted& p) { return slope_measures(p, manifest); })),
      finding(claims, 5, of_planted([&](const Planted& p) { return edge_measures(p, manifest); }))};
  std::vector<Measure> kept, memory;
  for (std::size_t i = 0; i < natural.size(); ++i) {
    const auto& [name, arm] = natural[i];
    asked(measure_of(name + ": LLM.int8() rise", arm, [](auto r) { return r(llm); }), kept, -kInf,
          manifest("natural_rise_most"));
    memory.push_back(memory_measure(trained->at(i), *w.table, manifest));
  }
  result.findings.push_back(finding(claims, 6, std::move(kept)));
  const auto speed = measure_int8_speed(w, static_cast<int>(manifest("speed_rounds")));
  if (!speed) return std::nullopt;
  result.findings.push_back(finding(claims, 7, speed->front().measures(manifest("crossover_fast_least"))));
  result.findings.push_back(finding(claims, 8, std::move(memory)));
  result.facts = facts_of(texts.text());
  for (const TrainedModel& t : *trained) result.facts.push_back(t.fact());
  result.tables.push_back(natural_table(natural, texts));
  for (const Planted& p : planted) {
    result.tables.push_back(planted_table(p));
    if (&p - planted.data() >= static_cast<std::ptrdiff_t>(planted.size()) - 2)
      result.figures.push_back(planted_figure(p));
  }
  result.tables.push_back(crossover_table(*speed));
  for (const Int8Speed& s : *speed) result.tables.push_back(s.table());
  result.figures.push_back(speed_figure(*speed));
  return result;
}

}  // namespace

Study int8_study() {
  return {"int8",
          "LLM.int8(): outliers break int8, decomposition mends it",
          "one model of 4.8M parameters, 4M bytes: about ten minutes",
          "three models of up to 4.7M parameters, 16M bytes: about an hour",
          claims_of,
          run};
}

}  // namespace loglog::studies
