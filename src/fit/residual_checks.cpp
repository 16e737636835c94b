#include "fit/residual_checks.hpp"

#include <algorithm>
#include <cmath>

#include "base/stats.hpp"

namespace loglog::fit {
namespace {

using Column = std::vector<double>;  // (rows)

double dot(const Column& a, const Column& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Takes the part along orthonormal `basis` off `column`; the rest joins the basis, at length one, unless next to nothing is left.
bool join_basis(std::vector<Column>& basis, Column column) {
  constexpr double kNothing = 1e-3;
  const double length = std::sqrt(dot(column, column));
  for (int pass = 0; pass < 2; ++pass)  // the second for what rounding left
    for (const Column& unit : basis) {
      const double along = dot(unit, column);
      for (std::size_t i = 0; i < column.size(); ++i) column[i] -= along * unit[i];
    }
  const double rest = std::sqrt(dot(column, column));
  if (!(rest > kNothing * length)) return false;
  for (double& value : column) value /= rest;
  basis.push_back(std::move(column));
  return true;
}

// Powers up to the fourth and products of the logs, each scaled to -1 .. 1.
std::vector<Column> bends(const Points& points) {
  const int variables = static_cast<int>(points.law().variables.size());
  std::vector<Column> z(static_cast<std::size_t>(variables));
  for (int v = 0; v < variables; ++v) {
    const auto [low, high] = points.range(v);
    const double middle = (low + high) / 2 - points.centres()[static_cast<std::size_t>(v)],
                 half = (high - low) / 2;
    for (int i = 0; i < points.size(); ++i)
      z[static_cast<std::size_t>(v)].push_back((points.log_x(i)[v] - middle) / half);
  }
  std::vector<Column> list;
  const auto product = [](Column a, const Column& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
    return a;
  };
  for (std::size_t v = 0; v < z.size(); ++v)
    for (std::size_t w = 0; w <= v; ++w) list.push_back(product(z[v], z[w]));
  for (const Column& axis : z) {
    list.push_back(product(product(axis, axis), axis));
    list.push_back(
        product(list.back(), axis));  // a break in the middle leaves a W: no square or cube shows that
  }
  return list;
}

// Rows of one run become their mean; of independent rows each stays.
Column by_run(const Column& rows, const Runs& runs) {
  Column sums(static_cast<std::size_t>(runs.clusters), 0.0), counts = sums;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto run = static_cast<std::size_t>(runs.cluster[i]);
    sums[run] += std::sqrt(runs.weight[i]) * rows[i], counts[run] += 1;
  }
  for (std::size_t run = 0; run < sums.size(); ++run) sums[run] /= counts[run];
  return sums;
}

}  // namespace

std::optional<LackOfFit> lack_of_fit(const Points& points, const Runs& runs, Huber huber,
                                     const Vector& best) {
  constexpr double kRounding = 1e-10;
  const int p = points.law().parameter_count();
  std::vector<Column> slopes(static_cast<std::size_t>(p));
  for (int i = 0; i < points.size(); ++i) {
    Vector slope{};
    points.law().form->log_loss(best, points.log_x(i), &slope, nullptr);
    for (std::size_t k = 0; k < slopes.size(); ++k) slopes[k].push_back(slope[k]);
  }
  Column r = residuals(points, best);
  for (double& value : r) value = huber.slope(value);
  r = by_run(r, runs);

  std::vector<Column> basis;
  for (const Column& slope : slopes) join_basis(basis, by_run(slope, runs));
  const std::size_t own = basis.size();
  for (const Column& unit : basis) {  // zero at the minimum but for runs of unequal length
    const double along = dot(unit, r);
    for (std::size_t i = 0; i < r.size(); ++i) r[i] -= along * unit[i];
  }
  for (Column& bend : bends(points)) join_basis(basis, by_run(bend, runs));
  LackOfFit result;
  result.terms = static_cast<int>(basis.size() - own);
  result.degrees = static_cast<int>(r.size() - basis.size());
  const double all = dot(r, r);
  if (result.terms < 1 || result.degrees < 2 ||
      !(all > kRounding * kRounding * static_cast<double>(r.size())))
    return std::nullopt;
  double explained = 0;
  for (std::size_t k = own; k < basis.size(); ++k) explained += std::pow(dot(basis[k], r), 2);
  const double rest = std::max(all - explained, 1e-300);
  result.F = explained / result.terms / (rest / result.degrees);
  result.p = incomplete_beta(0.5 * result.degrees, 0.5 * result.terms,
                             result.degrees / (result.degrees + result.terms * result.F));
  return result;
}

bool NeighbourCorrelation::found() const {
  constexpr int kFewest = 10;
  constexpr double kMuch = 0.5;  // less is what a law that does not quite fit leaves
  return pairs >= kFewest && value > kMuch && value > 3 / std::sqrt(pairs);
}

NeighbourCorrelation neighbour_correlation(const Points& points, Huber huber, const Vector& best) {
  NeighbourCorrelation result;
  const Column r = residuals(points, best);
  double products = 0, first = 0, second = 0;
  for (int i = 0; i + 1 < points.size(); ++i) {
    bool shares = false, grows = false;
    for (std::size_t v = 0; v < points.law().variables.size(); ++v) {
      shares = shares || points.log_x(i)[v] == points.log_x(i + 1)[v];
      grows = grows || points.log_x(i)[v] < points.log_x(i + 1)[v];
    }
    if (!shares || !grows) continue;
    const auto k = static_cast<std::size_t>(i);
    const double a = huber.slope(r[k]), b = huber.slope(r[k + 1]);
    products += a * b, first += a * a, second += b * b;
    ++result.pairs;
  }
  if (first > 0 && second > 0) result.value = products / std::sqrt(first * second);
  return result;
}

}  // namespace loglog::fit
