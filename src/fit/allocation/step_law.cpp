#include "fit/allocation/step_law.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/bootstrap.hpp"
#include "fit/dense.hpp"

namespace loglog::fit {
namespace {

constexpr int kTerms = 6;  // of a quadratic in two variables
constexpr int kFewestCells = 5;

struct Cell {
  double log_N = 0, log_D = 0;
  std::vector<int> runs;
};
struct Optimum {
  double log_N = 0, log_D = 0, log_lr = 0, log_batch = 0;
};

std::vector<Cell> cells_of(const Runs& runs) {
  std::map<std::pair<double, double>, Cell> cells;
  for (int i = 0; i < runs.size(); ++i) {
    const double N = runs.columns[0][static_cast<std::size_t>(i)],
                 D = runs.columns[1][static_cast<std::size_t>(i)];
    Cell& cell = cells[{N, D}];
    cell.log_N = std::log(N), cell.log_D = std::log(D);
    cell.runs.push_back(i);
  }
  std::vector<Cell> list;
  for (auto& [key, cell] : cells) list.push_back(std::move(cell));
  return list;
}

// Nothing, and why in `reason`, where the runs show no minimum.
std::optional<Optimum> optimum_of(const Runs& runs, const Cell& cell, double within, std::string& reason) {
  double best = INFINITY;
  for (const int i : cell.runs) best = std::min(best, runs.loss[static_cast<std::size_t>(i)]);
  std::vector<double> x, y, log_loss;
  for (const int i : cell.runs) {
    const auto k = static_cast<std::size_t>(i);
    if (runs.loss[k] > best * (1 + within)) continue;
    x.push_back(std::log(runs.columns[2][k])), y.push_back(std::log(runs.columns[3][k]));
    log_loss.push_back(std::log(runs.loss[k]));
  }
  if (x.size() <= kTerms) {
    reason = fmt::format("{} runs within {:g}% of its best loss, more than {} are needed", x.size(),
                         100 * within, kTerms);
    return std::nullopt;
  }
  const double mx = mean(x), my = mean(y);
  Matrix normal{};
  Vector right{}, c{};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double u = x[i] - mx, v = y[i] - my;
    const double terms[kTerms] = {1, u, v, u * u, u * v, v * v};
    for (int a = 0; a < kTerms; ++a) {
      right[static_cast<std::size_t>(a)] += terms[a] * log_loss[i];
      for (int b = 0; b < kTerms; ++b) at(normal, a, b) += terms[a] * terms[b];
    }
  }
  const double determinant_floor = 1e-12;
  const bool solved = solve_positive(normal, right, kTerms, c);
  const double determinant = 4 * c[3] * c[5] - c[4] * c[4];
  if (!solved || !(c[3] > 0) || !(determinant > determinant_floor * c[3] * c[3])) {
    reason = "its quadratic has no minimum";
    return std::nullopt;
  }
  const double u = (c[4] * c[2] - 2 * c[5] * c[1]) / determinant,
               v = (c[4] * c[1] - 2 * c[3] * c[2]) / determinant;
  const auto inside = [](double value, const std::vector<double>& list) {
    return value >= std::ranges::min(list) && value <= std::ranges::max(list);
  };
  if (!inside(mx + u, x) || !inside(my + v, y)) {
    reason = "the minimum of its quadratic lies outside of its runs";
    return std::nullopt;
  }
  return Optimum{cell.log_N, cell.log_D, mx + u, my + v};
}

// ln k, z of the batch; ln k, x, y of the learning rate. NaN where the cells do not tell N from D.
std::array<double, 5> lines_through(const std::vector<Optimum>& optima, const std::vector<double>& weight) {
  const auto solve = [&](int terms, auto target) {
    Matrix normal{};
    Vector right{}, c{};
    double n = 0, mean_N = 0, mean_D = 0;
    for (std::size_t i = 0; i < optima.size(); ++i)
      n += weight[i], mean_N += weight[i] * optima[i].log_N, mean_D += weight[i] * optima[i].log_D;
    mean_N /= n, mean_D /= n;
    for (std::size_t i = 0; i < optima.size(); ++i) {
      const double x[3] = {1, optima[i].log_D - mean_D, optima[i].log_N - mean_N};
      for (int a = 0; a < terms; ++a) {
        right[static_cast<std::size_t>(a)] += weight[i] * x[a] * target(optima[i]);
        for (int b = 0; b < terms; ++b) at(normal, a, b) += weight[i] * x[a] * x[b];
      }
    }
    if (!solve_positive(normal, right, terms, c)) c.fill(NAN);
    c[0] -= c[1] * mean_D + (terms > 2 ? c[2] * mean_N : 0);
    return c;
  };
  const Vector batch = solve(2, [](const Optimum& o) { return o.log_batch; });
  const Vector lr = solve(3, [](const Optimum& o) { return o.log_lr; });
  return {batch[0], batch[1], lr[0], lr[2], lr[1]};
}

std::vector<Optimum> optima_of(const Runs& runs, const std::vector<Cell>& cells, double within,
                               std::vector<Exclusion>* excluded) {
  std::vector<Optimum> optima;
  for (const Cell& cell : cells) {
    std::string reason;
    if (const auto optimum = optimum_of(runs, cell, within, reason)) {
      optima.push_back(*optimum);
    } else if (excluded != nullptr) {
      excluded->push_back(
          {fmt::format("N = {:.4g}, D = {:.4g}", std::exp(cell.log_N), std::exp(cell.log_D)), reason});
    }
  }
  return optima;
}

constexpr const char* kNames[] = {"batch_k", "batch_D", "lr_k", "lr_N", "lr_D"};
bool is_scale(std::size_t i) {
  return i == 0 || i == 2;
}

void add_params(const std::vector<Optimum>& optima, const StepLawOptions& o, FitResult& result) {
  const auto n = static_cast<int>(optima.size());
  const std::array<double, 5> value = lines_through(optima, std::vector<double>(optima.size(), 1.0));
  std::vector<int> cluster(optima.size());
  std::iota(cluster.begin(), cluster.end(), 0);
  std::array<std::vector<double>, 5> samples;
  for (int r = 0; r < o.resamples; ++r) {
    const auto lines =
        lines_through(optima, resample_counts(cluster, n, o.seed, static_cast<std::uint64_t>(r)));
    if (std::isnan(lines[1] + lines[3])) continue;  // all of one D or N
    for (std::size_t i = 0; i < lines.size(); ++i) samples[i].push_back(lines[i]);
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    Ends ends = expanded_percentiles(samples[i], pair_bootstrap_t(n, i < 2 ? 2 : 3));
    Interval item{kNames[i], value[i], ends.low, ends.high};
    if (is_scale(i)) item = {kNames[i], std::exp(value[i]), std::exp(ends.low), std::exp(ends.high)};
    result.params.push_back(item);
  }
  if (o.resamples > 0)
    result.interval_method =
        fmt::format("bootstrap of {} cells, {} resamples, expanded percentiles", n, o.resamples);
}

void warn_of_other_shares(const Runs& runs, const std::vector<Cell>& cells, const StepLawOptions& o,
                          FitResult& result) {
  for (const double factor : {0.5, 2.0}) {
    const double within = factor * o.within;
    const std::vector<Optimum> optima = optima_of(runs, cells, within, nullptr);
    if (optima.size() < kFewestCells) continue;
    const auto other = lines_through(optima, std::vector<double>(optima.size(), 1.0));
    for (std::size_t i = 0; i < other.size(); ++i) {
      const Interval& item = result.params[i];
      if (is_scale(i) || std::isnan(item.low) || (item.low <= other[i] && other[i] <= item.high)) continue;
      result.warnings.push_back(fmt::format(
          "{} is {:.3g} from the runs within {:g}% of the best, outside of its interval: it depends on "
          "which runs count as nearly best",
          item.name, other[i], 100 * within));
    }
  }
}

}  // namespace

FitResult fit_step_law(const Runs& runs, const StepLawOptions& options) {
  if (!(options.within > 0)) throw UsageError("--within must be positive");
  FitResult result;
  result.law = "step-law";
  result.formula = "lr = k N^x D^y, batch = k D^z";
  result.n = runs.size();
  result.seed = options.seed;
  result.excluded = runs.excluded;
  result.notices = runs.notices;
  result.warnings = runs.warnings;
  result.rows = runs.row;
  const std::vector<Cell> cells = cells_of(runs);
  const std::vector<Optimum> optima = optima_of(runs, cells, options.within, &result.excluded);
  if (optima.size() < kFewestCells)
    throw InputError(fmt::format(
        "{} of {} cells of one N and D have a best learning rate and batch inside; at least {} are "
        "needed",
        optima.size(), cells.size(), kFewestCells));
  add_params(optima, options, result);
  const Interval& batch = result.params[1];
  result.identified = !std::isnan(batch.value) && !std::isnan(result.params[3].value);
  if (!result.identified) result.warnings.push_back("not identified: the cells do not tell N from D");
  const auto lines = lines_through(optima, std::vector<double>(optima.size(), 1.0));
  for (const Optimum& o : optima)
    result.objective += std::pow(o.log_batch - lines[0] - lines[1] * o.log_D, 2) +
                        std::pow(o.log_lr - lines[2] - lines[3] * o.log_N - lines[4] * o.log_D, 2);
  result.objective_kind = "sum of squared residuals of ln batch and ln lr";
  warn_of_other_shares(runs, cells, options, result);
  return result;
}

}  // namespace loglog::fit
