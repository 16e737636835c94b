#include "fit/wald.hpp"

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
  const int n = points.law().parameter_count();
  const ResidualScale residuals = residual_scale(points, runs.weight, huber, best);
  if (residuals.degrees < 1) return std::nullopt;
  Matrix information{};
  double sum = 0;
  for (int i = 0; i < points.size(); ++i) {
    const double w = runs.weight[static_cast<std::size_t>(i)];
    Vector slope{};
    points.law().form->log_loss(best, points.log_x(i), &slope, nullptr);
    add_outer(slope, w, n, information);
    sum += w;
  }
  const int rows = residuals.degrees + n;
  std::optional<Matrix> matrix = inverse(information, n);
  if (!matrix) return std::nullopt;
  scale(*matrix, residuals.variance * sum / rows);
  return Covariance{*matrix, static_cast<double>(residuals.degrees)};
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

std::optional<Covariance> wald_covariance(const Points& points, const Runs& runs, Huber huber,
                                          const Vector& best) {
  return runs.clusters < runs.size() ? of_runs(points, runs, huber, best)
                                     : of_independent_rows(points, runs, huber, best);
}

}  // namespace loglog::fit
