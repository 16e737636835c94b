#include "studies/int8_speed.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/rng.hpp"
#include "base/seconds.hpp"
#include "base/stats.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_bf16.hpp"
#include "kernels/int8.hpp"
#include "kernels/isa.hpp"
#include "kernels/rowwise/convert.hpp"
#include "kernels/rowwise/sums.hpp"

namespace loglog::studies {
namespace {

using kernels::ConstMatrixRef;
using kernels::ExecContext;
using kernels::Index;
using kernels::MatrixRef;

// What is measured.
struct Settings {
  std::vector<Index> widths;  // powers of two times the first
  Index rows, outliers;       // channels that are outliers
  float outlier_scale, threshold;
  int rounds;
};
Settings settings_of(const Manifest& m) {
  Settings s{{},
             static_cast<Index>(m("speed_rows")),
             static_cast<Index>(m("speed_outliers")),
             static_cast<float>(m("speed_outlier_scale")),
             static_cast<float>(m("threshold")),
             static_cast<int>(m("speed_rounds"))};
  for (double width = m("speed_width_first"); width <= m("speed_width_last"); width *= 2)
    s.widths.push_back(static_cast<Index>(width));
  return s;
}

double milliseconds_of(auto&& call) {
  return 1e3 * seconds_of(call);
}

// Operands of one width, and its products.
class Layer {
 public:
  Layer(const kernels::KernelTable& table, int threads, Index width, const Settings& settings)
      : k_(width),
        n_(4 * width),
        rows_(settings.rows),
        threshold_(settings.threshold),
        x_(random(rows_ * k_, 1)),
        w_(random(k_ * n_, 2)),
        c_(static_cast<std::size_t>(rows_ * n_)),
        plain_(table, ConstMatrixRef(w_.data(), k_, n_)),
        narrow_(table, k_, n_),
        int8_(table, ConstMatrixRef(w_.data(), k_, n_), {}),
        x_bf16_(static_cast<std::size_t>(rows_ * k_)),
        scratch_(scratch_bytes(table, threads)),
        ctx_{table, threads, scratch_} {
    for (Index i = 0; i < rows_; ++i)
      for (Index o = 1; o <= settings.outliers; ++o)
        x_[static_cast<std::size_t>(i * k_ + o * k_ / (settings.outliers + 1))] *= settings.outlier_scale;
    narrow_.pack(ctx_, {w_.data(), k_, n_});
  }

  double f32() {
    return milliseconds_of([&] { kernels::gemm(ctx_, x(), plain_, c()); });
  }
  // Activations come in float32, as they do to int8.
  double bf16() {
    return milliseconds_of([&] {
      const kernels::Matrix<kernels::bf16> x16(x_bf16_.data(), rows_, k_);
      kernels::convert(ctx_, x16, x());
      kernels::gemm_bf16(ctx_, kernels::ConstMatrix<kernels::bf16>(x16), narrow_, c());
    });
  }
  double int8() {
    return milliseconds_of([&] { kernels::gemm_int8(ctx_, x(), int8_, c(), {{}, threshold_, false}); });
  }

 private:
  static std::vector<float> random(Index count, std::uint64_t stream) {
    std::vector<float> values(static_cast<std::size_t>(count));
    const Rng rng(1, stream);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
    return values;
  }
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads) const {
    using kernels::FloatType, kernels::Weights;
    return std::max({kernels::gemm_scratch_bytes(table, threads, rows_, n_, k_, Weights::packed),
                     kernels::gemm_bf16_scratch_bytes(table, threads, rows_, n_, k_, Weights::packed),
                     kernels::pack_scratch_bytes(table, threads, k_),
                     kernels::rowwise_scratch_bytes(table, threads, rows_, k_),
                     kernels::gemm_int8_scratch_bytes(table, threads, rows_, n_, k_)});
  }
  ConstMatrixRef x() const { return {x_.data(), rows_, k_}; }
  MatrixRef c() { return {c_.data(), rows_, n_}; }

  Index k_, n_, rows_;
  float threshold_;
  std::vector<float> x_, w_, c_;
  kernels::PackedMatrix<float> plain_;
  kernels::PackedMatrix<kernels::bf16> narrow_;
  kernels::Int8Weights int8_;
  std::vector<kernels::bf16> x_bf16_;
  kernels::Scratch scratch_;
  ExecContext ctx_;
};

// How many times as fast int8 is, of the median times; and of resampled rounds.
Measure ratio_to_f32(const WidthTimes& times, const Manifest& manifest) {
  Measure m;
  m.name = fmt::format("width {}: int8 over float32, rates", times.width);
  m.value = median(times.f32) / median(times.int8);
  for (std::uint64_t r = 0; r < static_cast<std::uint64_t>(manifest("resamples")); ++r) {
    const Rng rng(1, r);
    std::vector<double> f32, int8;
    for (std::size_t i = 0; i < times.f32.size(); ++i) {
      const std::size_t round = rng.below(i, times.f32.size());
      f32.push_back(times.f32[round]), int8.push_back(times.int8[round]);
    }
    m.samples.push_back(median(f32) / median(int8));
  }
  return m;
}

std::optional<Int8Speed> measure_one(const kernels::KernelTable& table, const Workplace& w,
                                     const Settings& settings) {
  Int8Speed speed{table.name, settings.rows, settings.outliers, {}};
  for (const Index width : settings.widths) {
    w.say(fmt::format("{}: products of width {}", table.name, width));
    Layer layer(table, w.threads, width, settings);
    layer.f32(), layer.bf16(), layer.int8();  // warm
    WidthTimes times{width, {}, {}, {}};
    for (int round = 0; round < settings.rounds; ++round) {
      if (w.stop()) return std::nullopt;
      times.f32.push_back(layer.f32()), times.bf16.push_back(layer.bf16()),
          times.int8.push_back(layer.int8());
    }
    speed.widths.push_back(std::move(times));
  }
  return speed;
}

}  // namespace

std::optional<std::vector<Int8Speed>> measure_int8_speed(const Workplace& w, const Manifest& manifest) {
  const Settings settings = settings_of(manifest);
  std::vector<const kernels::KernelTable*> tables = {w.table};
  for (const kernels::IsaRow& row : kernels::isa_rows())
    if (row.supported && row.table != w.table && row.name != "scalar") tables.push_back(row.table);
  std::vector<Int8Speed> speeds;
  for (const kernels::KernelTable* table : tables) {
    auto speed = measure_one(*table, w, settings);
    if (!speed) return std::nullopt;
    speeds.push_back(std::move(*speed));
  }
  return speeds;
}

std::string crossover(const std::vector<WidthTimes>& widths, std::vector<double> WidthTimes::*other) {
  const auto gain = [&](const WidthTimes& t) { return std::log(median(t.*other) / median(t.int8)); };
  std::size_t first = widths.size();  // of those from which on int8 is faster
  while (first > 0 && gain(widths[first - 1]) > 0) --first;
  if (first == 0) return fmt::format("below {}", widths.front().width);
  if (first == widths.size()) return fmt::format("above {}", widths.back().width);
  const WidthTimes &slower = widths[first - 1], &faster = widths[first];
  const double share = -gain(slower) / (gain(faster) - gain(slower));
  const double low = std::log(static_cast<double>(slower.width)),
               high = std::log(static_cast<double>(faster.width));
  return fmt::format("about {:.0f}", std::exp(low + share * (high - low)));
}

Finding pays(Claim claim, const Int8Speed& speed, const Manifest& manifest) {
  Measure m = ratio_to_f32(speed.widths.back(), manifest);
  m.low = manifest("speed_ratio_least"), m.null = 1, m.least = manifest("speed_ratio_notable") - 1;
  Finding f;
  f.claim = std::move(claim), f.measures = {std::move(m)};
  return f;
}

Finding pays_more(Claim claim, const Int8Speed& speed, const Manifest& manifest) {
  Measure m = ratio_to_f32(speed.widths.back(), manifest);
  const Measure first = ratio_to_f32(speed.widths.front(), manifest);
  m.name += fmt::format(", over the same at width {}", speed.widths.front().width);
  m.value /= first.value;
  for (std::size_t r = 0; r < m.samples.size(); ++r) m.samples[r] /= first.samples[r];
  m.low = 1, m.null = 1, m.least = manifest("speed_ratio_notable") - 1;
  Finding f;
  f.claim = std::move(claim), f.measures = {std::move(m)};
  return f;
}

Table Int8Speed::table() const {
  Table table{fmt::format("Speed of a linear layer, {}", isa),
              {"width", "float32 ms", "bfloat16 ms", "LLM.int8() ms", "over float32", "over bfloat16"},
              {},
              ""};
  for (const WidthTimes& t : widths)
    table.rows.push_back({fmt::format("{}", t.width), fmt::format("{:.3g}", median(t.f32)),
                          fmt::format("{:.3g}", median(t.bf16)), fmt::format("{:.3g}", median(t.int8)),
                          fmt::format("{:.2f}", median(t.f32) / median(t.int8)),
                          fmt::format("{:.2f}", median(t.bf16) / median(t.int8))});
  return table;
}

Table crossover_table(const std::vector<Int8Speed>& speeds) {
  Table table{
      "Widths from which on LLM.int8() is faster",
      {"instruction set", "than float32", "than bfloat16", "over float32 at the largest", "over bfloat16"},
      {},
      ""};
  for (const Int8Speed& s : speeds) {
    const WidthTimes& last = s.widths.back();
    table.rows.push_back({s.isa, crossover(s.widths, &WidthTimes::f32),
                          crossover(s.widths, &WidthTimes::bf16),
                          fmt::format("{:.2f}", median(last.f32) / median(last.int8)),
                          fmt::format("{:.2f}", median(last.bf16) / median(last.int8))});
  }
  const Int8Speed& first = speeds.front();
  table.note = fmt::format(
      "{} rows through (C, 4C) for widths C of {} to {}, {} outlier channels, quantisation and decomposition "
      "included; medians of {} interleaved rounds. A width stands between two that were measured, and int8 "
      "is faster at "
      "every larger one. Where an instruction set has no bfloat16 products, these "
      "are made of float32's.",
      first.rows, first.widths.front().width, first.widths.back().width, first.outliers,
      first.widths.front().f32.size());
  return table;
}

report::Figure speed_figure(const std::vector<Int8Speed>& speeds) {
  report::Figure figure;
  figure.name = "speed", figure.title = "How many times as fast LLM.int8() is as float32";
  figure.caption = fmt::format(
      "Of one linear layer (C, 4C) with {} rows, by its width C and instruction set; above 1 int8 is faster.",
      speeds.front().rows);
  figure.x = {"width C", true}, figure.y = {"rate over that of float32", true};
  for (const Int8Speed& speed : speeds) {
    report::Series series;
    series.label = speed.isa, series.mark = report::Mark::line;
    series.colour = static_cast<int>(figure.series.size());
    for (const WidthTimes& t : speed.widths) {
      series.x.push_back(static_cast<double>(t.width));
      series.y.push_back(median(t.f32) / median(t.int8));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

}  // namespace loglog::studies
