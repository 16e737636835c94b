#include "studies/int8_measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.hpp"

namespace loglog::studies {
namespace {

using enum Int8Form;

constexpr double kInf = Measure::kInfinity;

// f of the rises, and of each resample of them.
template <class F>
Measure measure_of(std::string name, const Int8Arm& arm, F&& f) {
  Measure m;
  m.name = std::move(name);
  m.value = f([&](Int8Form form) { return arm[form].rise; });
  for (std::size_t r = 0; r < arm[absmax_tensor].samples.size(); ++r)
    m.samples.push_back(f([&](Int8Form form) { return arm[form].samples[r]; }));
  return m;
}

Measure rise_of(const std::string& where, const Int8Arm& arm, Int8Form form) {
  return measure_of(fmt::format("{}: {} rise", where, title_of(form)), arm,
                    [form](auto rise) { return rise(form); });
}

// Adds a measure. Resamples that are no number, as the logarithm of a rise below 0, are counted apart.
void add(Measure m, Finding& f) {
  const auto count = static_cast<double>(m.samples.size());
  const auto left_out = std::erase_if(m.samples, [](double x) { return !std::isfinite(x); });
  if (left_out > 0) m.undefined = static_cast<double>(left_out) / count;
  f.measures.push_back(std::move(m));
}

// An effect is asked for: a number on one side of `null`, by `least` where it is to count.
void ask_effect(Measure m, double low, double high, double null, double least, Finding& f) {
  m.low = low, m.high = high, m.null = null, m.least = least;
  add(std::move(m), f);
}

// A number is asked to be small, and to be more than `falsified` is the opposite.
void ask_small(Measure m, double most, double falsified, Finding& f) {
  m.high = most, m.falsified = falsified;
  add(std::move(m), f);
}

// ask(model, where it is judged, finding) of each.
template <class Ask>
Finding of_planted(Claim claim, const PlantedModels& planted, const Manifest& m, Ask&& ask) {
  Finding f;
  f.claim = std::move(claim);
  if (planted.empty()) {
    f.untestable = fmt::format("no model has the {} channels that planting takes", m("planted_width_least"));
    return f;
  }
  std::set<std::string> models;
  for (const Int8Planted& p : planted) {
    models.insert(p.model);
    ask(p, fmt::format("{} x {:.0f}", p.name(), judged_scale(m, p.one_signed)), f);
  }
  f.single_run = models.size() == 1;
  return f;
}

const Int8Arm& judged(const Int8Planted& p, const Manifest& m) {
  return p.at(judged_scale(m, p.one_signed));
}

}  // namespace

const Int8Arm& Int8Planted::at(double scale) const {
  const auto found = std::ranges::find(scales, scale);
  LOGLOG_CHECK(found != scales.end() && arms.size() == scales.size(), "{}: {} arms, none of scale {}", name(),
               arms.size(), scale);
  return arms[static_cast<std::size_t>(found - scales.begin())];
}

std::string Int8Planted::name() const {
  return fmt::format("{}, {}", model, one_signed ? "one-signed" : "two-signed");
}

double Int8Planted::largest_rise(Int8Form form) const {
  double most = -kInf;
  for (const Int8Arm& arm : arms) most = std::max(most, arm[form].rise);
  return most;
}

std::vector<double> planted_scales(const Manifest& manifest) {
  std::vector<double> scales;
  for (double s = 1; s <= manifest("scale_highest"); s *= 2) scales.push_back(s);
  return scales;
}

double judged_scale(const Manifest& manifest, bool one_signed) {
  return manifest(one_signed ? "scale_one_signed" : "scale_two_signed");
}

Finding broken_by_outliers(Claim claim, const PlantedModels& planted, const Manifest& m) {
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto& where, Finding& f) {
    if (p.one_signed) return;
    const Int8Arm& arm = judged(p, m);
    ask_effect(rise_of(where, arm, absmax_vector), m("vector_rise_least"), kInf, 0, m("vector_rise_notable"),
               f);
    ask_effect(measure_of(where + ": tensor-wise over vector-wise", arm,
                          [](auto rise) { return rise(absmax_tensor) / rise(absmax_vector); }),
               m("tensor_over_vector_least"), kInf, 1, m("tensor_over_vector_notable") - 1, f);
  });
}

Finding in_order(Claim claim, const PlantedModels& planted, const Manifest& m) {
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto& where, Finding& f) {
    for (const auto& [a, b] : {std::pair{absmax_tensor, absmax_vector},
                               {absmax_vector, zeropoint_vector},
                               {zeropoint_vector, llm_calibrated}}) {
      const Int8Form more = a, less = b;
      ask_effect(measure_of(fmt::format("{}: {} minus {}", where, title_of(more), title_of(less)),
                            judged(p, m), [more, less](auto rise) { return rise(more) - rise(less); }),
                 0, kInf, 0, m("order_notable"), f);
    }
  });
}

Finding as_bad_by_rows(Claim claim, const PlantedModels& planted, const Manifest& m) {
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto& where, Finding& f) {
    const Int8Arm& arm = judged(p, m);
    Measure ratio = measure_of(where + ": row-wise over vector-wise", arm,
                               [](auto rise) { return rise(absmax_row) / rise(absmax_vector); });
    ratio.low = m("row_over_vector_low"), ratio.high = m("row_over_vector_high");
    add(std::move(ratio), f);
    for (const Int8Form form : {absmax_row, absmax_vector})
      ask_effect(rise_of(where, arm, form), m("broken_rise_least"), kInf, 0, m("broken_rise_notable"), f);
  });
}

Finding mended(Claim claim, const PlantedModels& planted, const Manifest& m) {
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto&, Finding& f) {
    for (const Int8Form form : {llm_calibrated, row_decomposition_calibrated}) {
      Measure most;
      most.name = fmt::format("{}, every scale: {} rise", p.name(), title_of(form));
      most.value = p.largest_rise(form);
      most.samples = p.arms.front()[form].samples;
      for (const Int8Arm& arm : p.arms)
        for (std::size_t r = 0; r < most.samples.size(); ++r)
          most.samples[r] = std::max(most.samples[r], arm[form].samples[r]);
      ask_small(std::move(most), m("decomposition_rise_most"), m("decomposition_rise_falsified"), f);
    }
  });
}

Finding squared(Claim claim, const PlantedModels& planted, const Manifest& m) {
  const double first = m("slope_scale_first"), last = m("slope_scale_last");
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto&, Finding& f) {
    if (p.one_signed) return;
    const Int8Arm::InForm &a = p.at(first)[absmax_vector], &b = p.at(last)[absmax_vector];
    const auto slope = [&](double rise_a, double rise_b) {  // least squares of three equidistant points, too
      return std::log(rise_b / rise_a) / std::log(last / first);
    };
    Measure s;
    s.name = fmt::format("{}: slope of vector-wise rise, {:.0f} to {:.0f}", p.name(), first, last);
    s.value = slope(a.rise, b.rise);
    for (std::size_t r = 0; r < a.samples.size(); ++r) s.samples.push_back(slope(a.samples[r], b.samples[r]));
    ask_effect(std::move(s), m("slope_low"), m("slope_high"), 0, m("slope_notable"), f);
  });
}

Finding edge_gone(Claim claim, const PlantedModels& planted, const Manifest& m) {
  return of_planted(std::move(claim), planted, m, [&](const Int8Planted& p, const auto& where, Finding& f) {
    ask_effect(measure_of(where + ": zeropoint's gain with decomposition, of that without", judged(p, m),
                          [](auto rise) {
                            return (rise(llm_calibrated) - rise(llm_zeropoint_calibrated)) /
                                   (rise(absmax_vector) - rise(zeropoint_vector));
                          }),
               -kInf, m("zeropoint_edge_most"), 1, 1 - m("zeropoint_edge_notable"), f);
  });
}

Finding harmless(Claim claim, const std::vector<Int8Natural>& natural, const Manifest& m) {
  Finding f;
  f.claim = std::move(claim);
  for (const Int8Natural& n : natural)
    for (const Int8Form form : {llm, llm_calibrated})
      ask_small(rise_of(n.model, n.arm, form), m("natural_rise_most"), m("natural_rise_falsified"), f);
  f.single_run = natural.size() == 1;
  return f;
}

Finding smaller(Claim claim, const std::vector<Int8Natural>& natural, const Manifest& m) {
  Finding f;
  f.claim = std::move(claim);
  for (const auto& [model, arm] : natural) {
    Measure ratio;
    ratio.name = fmt::format("{}: bytes over float32's", model);
    ratio.value = static_cast<double>(arm[llm_calibrated].bytes) / static_cast<double>(arm.float_bytes);
    ratio.high = m("memory_ratio_most");
    f.measures.push_back(std::move(ratio));
  }
  f.single_run = natural.size() == 1;
  return f;
}

}  // namespace loglog::studies
