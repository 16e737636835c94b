#include "fit/wald.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fit/profile.hpp"

namespace loglog::fit {
namespace {

std::optional<Matrix> inverse(const Matrix& a, int n) {
  Matrix result{};
  for (int j = 0; j < n; ++j) {
    Vector unit{}, column{};
    unit[static_cast<std::size_t>(j)] = 1;
    if (!solve_positive(a, unit, n, column)) return std::nullopt;
    for (int i = 0; i < n; ++i) at(result, i, j) = column[static_cast<std::size_t>(i)];
  }
  return result;
}

Matrix product(const Matrix& a, const Matrix& b, int n) {
  Matrix result{};
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      for (int k = 0; k < n; ++k) at(result, i, j) += at(a, i, k) * at(b, k, j);
  return result;
}

void add_outer(const Vector& v, double factor, int n, Matrix& sum) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      at(sum, i, j) += factor * v[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)];
}

void scale(Matrix& a, double factor) {
  for (double& element : a) element *= factor;
}

std::optional<Covariance> of_independent_rows(const Points& points, const Runs& runs, Huber huber,
                                              const Vector& best) {
  std::vector<double> weights = runs.weight;
  const auto rows = static_cast<int>(std::ranges::count_if(weights, [](double w) { return w > 0; }));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& w : weights) w *= rows / sum;
  const std::optional<Matrix> matrix = plain_covariance(points, weights, rows, huber, best);
  if (!matrix) return std::nullopt;
  return Covariance{*matrix, static_cast<double>(rows - points.law().parameter_count())};
}

std::optional<Covariance> of_runs(const Points& points, const Runs& runs, Huber huber, const Vector& best) {
  const int n = points.law().parameter_count();
  const double m = runs.clusters, rows = points.size();
  if (m <= n) return std::nullopt;
  std::vector<Vector> scores(static_cast<std::size_t>(runs.clusters));
  const std::vector<double> r = residuals(points, best);
  for (std::size_t i = 0; i < r.size(); ++i) {
    Vector slope{};
    points.law().form->log_loss(best, points.log_x(static_cast<int>(i)), &slope, nullptr);
    Vector& score = scores[static_cast<std::size_t>(runs.cluster[i])];
    for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k)
      score[k] += runs.weight[i] * huber.slope(r[i]) * slope[k];
  }
  Matrix spread{};
  for (const Vector& score : scores) add_outer(score, 1, n, spread);
  const std::optional<Matrix> bread = inverse(expand(points, runs.weight, huber, best).hessian, n);
  if (!bread) return std::nullopt;
  Covariance covariance{product(product(*bread, spread, n), *bread, n), m - n};
  scale(covariance.matrix, m / (m - 1) * (rows - 1) / (rows - n));
  return covariance;
}

}  // namespace

std::optional<Matrix> plain_covariance(const Points& points, std::span<const double> weights, int rows,
                                       Huber huber, const Vector& theta) {
  const int n = points.law().parameter_count();
  if (rows <= n) return std::nullopt;
  Matrix information{};
  double squares = 0, inside = 0;
  for (int i = 0; i < points.size(); ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    if (w == 0) continue;
    Vector slope{};
    const double r =
        points.law().form->log_loss(theta, points.log_x(i), &slope, nullptr) - points.log_loss(i);
    add_outer(slope, w, n, information);
    squares += w * std::pow(huber.slope(r), 2);
    inside += std::abs(r) <= huber.delta ? w : 0;
  }
  std::optional<Matrix> matrix = inverse(information, n);
  const double k = inside / rows;
  if (matrix) scale(*matrix, squares / (rows - n) * std::pow(small_sample_factor(n, rows, k) / k, 2));
  return matrix;
}

double standard_error(const Matrix& covariance, const Vector& slope, int parameters) {
  double squares = 0;
  for (int i = 0; i < parameters; ++i)
    for (int j = 0; j < parameters; ++j)
      squares +=
          slope[static_cast<std::size_t>(i)] * at(covariance, i, j) * slope[static_cast<std::size_t>(j)];
  return std::sqrt(squares);
}

std::optional<Covariance> wald_covariance(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best) {
  return runs.clusters < runs.size() ? of_runs(points, runs, huber, best)
                                     : of_independent_rows(points, runs, huber, best);
}

std::vector<double> run_leverages(const Points& points, const Runs& runs, const Vector& best) {
  const int n = points.law().parameter_count();
  const auto count = static_cast<std::size_t>(runs.clusters);
  Matrix information{};
  std::vector<Vector> sums(count);  // of J over the rows of a run, weights in
  std::vector<double> weight(count, 0.0), leverage(count, 0.0);
  for (int i = 0; i < points.size(); ++i) {
    const auto row = static_cast<std::size_t>(i), run = static_cast<std::size_t>(runs.cluster[row]);
    Vector slope{};
    points.law().form->log_loss(best, points.log_x(i), &slope, nullptr);
    add_outer(slope, runs.weight[row], n, information);
    for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) sums[run][k] += runs.weight[row] * slope[k];
    weight[run] += runs.weight[row];
  }
  const std::optional<Matrix> bread = inverse(information, n);
  if (!bread) return leverage;
  for (std::size_t run = 0; run < count; ++run)
    if (weight[run] > 0)
      leverage[run] = std::min(1.0, std::pow(standard_error(*bread, sums[run], n), 2) / weight[run]);
  return leverage;
}

}  // namespace loglog::fit
