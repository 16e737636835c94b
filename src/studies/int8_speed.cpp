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

constexpr Index kWidths[] = {64, 128, 256, 512, 1024, 2048, 4096};
constexpr Index kRows = 512;

double milliseconds_of(auto&& call) {
  return 1e3 * seconds_of(call);
}

// Operands of one width, and its products.
class Layer {
 public:
  Layer(const kernels::KernelTable& table, int threads, Index width)
      : k_(width),
        n_(4 * width),
        x_(random(kRows * k_, 1)),
        w_(random(k_ * n_, 2)),
        c_(static_cast<std::size_t>(kRows * n_)),
        plain_(table, ConstMatrixRef(w_.data(), k_, n_)),
        narrow_(table, k_, n_),
        int8_(table, ConstMatrixRef(w_.data(), k_, n_), {}),
        x_bf16_(static_cast<std::size_t>(kRows * k_)),
        scratch_(scratch_bytes(table, threads)),
        ctx_{table, threads, scratch_} {
    constexpr Index kOutliers = 6;
    constexpr float kScale = 20;
    for (Index i = 0; i < kRows; ++i)
      for (Index o = 0; o < kOutliers; ++o)
        x_[static_cast<std::size_t>(i * k_ + (o + 1) * k_ / (kOutliers + 1))] *= kScale;
    narrow_.pack(ctx_, {w_.data(), k_, n_});
  }

  double f32() {
    return milliseconds_of([&] { kernels::gemm(ctx_, x(), plain_, c()); });
  }
  // Activations come in float32, as they do to int8.
  double bf16() {
    return milliseconds_of([&] {
      const kernels::Matrix<kernels::bf16> x16(x_bf16_.data(), kRows, k_);
      kernels::convert(ctx_, x16, x());
      kernels::gemm_bf16(ctx_, kernels::ConstMatrix<kernels::bf16>(x16), narrow_, c());
    });
  }
  double int8() {
    return milliseconds_of([&] { kernels::gemm_int8(ctx_, x(), int8_, c(), {{}, 6.0f, false}); });
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
    return std::max({kernels::gemm_scratch_bytes(table, threads, kRows, n_, k_, Weights::packed),
                     kernels::gemm_bf16_scratch_bytes(table, threads, kRows, n_, k_, Weights::packed),
                     kernels::pack_scratch_bytes(table, threads, k_),
                     kernels::rowwise_scratch_bytes(table, threads, kRows, k_),
                     kernels::gemm_int8_scratch_bytes(table, threads, kRows, n_, k_)});
  }
  ConstMatrixRef x() const { return {x_.data(), kRows, k_}; }
  MatrixRef c() { return {c_.data(), kRows, n_}; }

  Index k_, n_;
  std::vector<float> x_, w_, c_;
  kernels::PackedMatrix<float> plain_;
  kernels::PackedMatrix<kernels::bf16> narrow_;
  kernels::Int8Weights int8_;
  std::vector<kernels::bf16> x_bf16_;
  kernels::Scratch scratch_;
  ExecContext ctx_;
};

// How many times as fast int8 is, of the median times; and of resampled rounds.
Measure ratio(std::string name, const std::vector<double>& other, const std::vector<double>& int8) {
  Measure m;
  m.name = std::move(name);
  m.value = median(other) / median(int8);
  for (std::uint64_t r = 0; r < 2000; ++r) {
    const Rng rng(1, r);
    std::vector<double> a, b;
    for (std::size_t i = 0; i < other.size(); ++i) {
      const std::size_t round = rng.below(i, other.size());
      a.push_back(other[round]), b.push_back(int8[round]);
    }
    m.samples.push_back(median(a) / median(b));
  }
  return m;
}

// The width at which a ratio crosses 1, between two measured ones on logarithmic axes.
std::string crossover(const std::vector<WidthTimes>& widths, std::vector<double> WidthTimes::*other) {
  double before = 0;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const double now = std::log(median(widths[i].*other) / median(widths[i].int8));
    if (now > 0 && i == 0) return fmt::format("below {}", widths[0].width);
    if (now > 0) {
      const double share = -before / (now - before);
      const double low = std::log(static_cast<double>(widths[i - 1].width)),
                   high = std::log(static_cast<double>(widths[i].width));
      return fmt::format("about {:.0f}", std::exp(low + share * (high - low)));
    }
    before = now;
  }
  return fmt::format("above {}", widths.back().width);
}

std::optional<Int8Speed> measure_one(const kernels::KernelTable& table, const Workplace& w, int rounds) {
  Int8Speed speed{table.name, {}};
  for (const Index width : kWidths) {
    w.say(fmt::format("{}: products of width {}", table.name, width));
    Layer layer(table, w.threads, width);
    layer.f32(), layer.bf16(), layer.int8();  // warm
    WidthTimes times{width, {}, {}, {}};
    for (int round = 0; round < rounds; ++round) {
      if (w.stop()) return std::nullopt;
      times.f32.push_back(layer.f32()), times.bf16.push_back(layer.bf16()),
          times.int8.push_back(layer.int8());
    }
    speed.widths.push_back(std::move(times));
  }
  return speed;
}

}  // namespace

std::optional<std::vector<Int8Speed>> measure_int8_speed(const Workplace& w, int rounds) {
  std::vector<const kernels::KernelTable*> tables = {w.table};
  for (const kernels::IsaRow& row : kernels::isa_rows())
    if (row.supported && row.table != w.table && row.name != "scalar") tables.push_back(row.table);
  std::vector<Int8Speed> speeds;
  for (const kernels::KernelTable* table : tables) {
    auto speed = measure_one(*table, w, rounds);
    if (!speed) return std::nullopt;
    speeds.push_back(std::move(*speed));
  }
  return speeds;
}

std::vector<Measure> Int8Speed::measures(double least) const {
  const WidthTimes &first = widths.front(), &last = widths.back();
  Measure large = ratio(fmt::format("width {}: int8 over float32, rates", last.width), last.f32, last.int8);
  large.low = least, large.null = 0;
  const Measure small = ratio("", first.f32, first.int8);
  Measure grows;
  grows.name = fmt::format("that over the same at width {}", first.width);
  grows.value = large.value / small.value;
  for (std::size_t r = 0; r < large.samples.size(); ++r)
    grows.samples.push_back(large.samples[r] / small.samples[r]);
  grows.low = 1, grows.null = 1;
  return {large, grows};
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
      "{} rows through (C, 4C) for widths C of {} to {}, six outlier channels, quantisation and "
      "decomposition "
      "included; medians of {} interleaved rounds. Where an instruction set has no bfloat16 products, these "
      "are made of float32's.",
      kRows, first.widths.front().width, first.widths.back().width, first.widths.front().f32.size());
  return table;
}

report::Figure speed_figure(const std::vector<Int8Speed>& speeds) {
  report::Figure figure;
  figure.name = "speed", figure.title = "How many times as fast LLM.int8() is as float32";
  figure.caption =
      "Of one linear layer (C, 4C) with 512 rows, by its width C and instruction set; above 1 int8 is "
      "faster.";
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
