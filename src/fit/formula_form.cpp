#include "fit/formula_form.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "fit/coefficients.hpp"

namespace loglog::fit {
namespace {

constexpr double kFloorDepth = 25.0;  // E may fall to exp(-25) of the lowest loss before it counts as absent

}  // namespace

FormulaForm::FormulaForm(int variables, std::vector<ParameterRange> parameters, Formula loss)
    : variables_(variables), parameters_(std::move(parameters)), loss_(std::move(loss)) {
  LOGLOG_CHECK(parameters_.size() <= kMaxParameters, "{} parameters, at most {}", parameters_.size(),
               kMaxParameters);
}

int FormulaForm::floor_index() const {
  for (int i = 0; i < parameter_count(); ++i)
    if (parameters_[static_cast<std::size_t>(i)].coefficient && parameter_name(i) == "E") return i;
  return -1;
}

double FormulaForm::value_of(const Vector& theta, int index) const {
  const auto i = static_cast<std::size_t>(index);
  return parameters_[i].positive ? std::exp(theta[i]) : theta[i];
}

double FormulaForm::log_loss(const Vector& theta, const double* log_x, Vector* gradient,
                             Matrix* hessian) const {
  const int n = parameter_count();
  std::array<Jet, kMaxParameters> parameters, x;
  for (int v = 0; v < variables_; ++v) x[static_cast<std::size_t>(v)] = Jet(std::exp(log_x[v]));
  for (int i = 0; i < n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const Jet moved = gradient == nullptr ? Jet(theta[k]) : Jet::variable(theta[k], i);
    parameters[k] = parameters_[k].positive ? exp(moved) : moved;
  }
  const Jet loss = loss_(std::span(parameters).first(static_cast<std::size_t>(n)),
                         std::span(x).first(static_cast<std::size_t>(variables_)));
  if (gradient == nullptr) return std::log(loss.value());
  const Jet result = log(loss);
  gradient->fill(0);
  for (int i = 0; i < n; ++i) (*gradient)[static_cast<std::size_t>(i)] = result.gradient(i);
  if (hessian == nullptr) return result.value();
  hessian->fill(0);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) at(*hessian, i, j) = result.hessian(i, j);
  return result.value();
}

Bounds FormulaForm::bounds(const Points& points) const {
  Bounds bounds;
  bounds.low.fill(-1e3);
  bounds.high.fill(1e3);
  for (int i = 0; i < parameter_count(); ++i) {
    const ParameterRange& p = parameters_[static_cast<std::size_t>(i)];
    if (p.coefficient || !p.positive || p.variable >= 0) continue;
    bounds.low[static_cast<std::size_t>(i)] = std::log(p.low) - std::log(50.0);
    bounds.high[static_cast<std::size_t>(i)] = std::log(p.high) + std::log(50.0);
  }
  if (const int floor = floor_index(); floor >= 0) {
    bounds.low[static_cast<std::size_t>(floor)] = points.lowest_log_loss() - kFloorDepth;
    bounds.high[static_cast<std::size_t>(floor)] = points.lowest_log_loss() + 1.0;
  }
  return bounds;
}

std::size_t FormulaForm::axes() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(parameters_, [](const ParameterRange& p) { return !p.coefficient; }));
}

double FormulaForm::loss_at(std::span<const double> parameters, const double* log_x) const {
  std::array<Jet, kMaxParameters> p, x;
  for (std::size_t i = 0; i < parameters.size(); ++i) p[i] = Jet(parameters[i]);
  for (int v = 0; v < variables_; ++v) x[static_cast<std::size_t>(v)] = Jet(std::exp(log_x[v]));
  return loss_(std::span(p).first(parameters.size()),
               std::span(x).first(static_cast<std::size_t>(variables_)))
      .value();
}

// Coefficients by least squares, given the rest.
Vector FormulaForm::start_at(const Points& points, std::span<const double> weights,
                             std::vector<double> parameters) const {
  std::vector<std::size_t> coefficients;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].coefficient) coefficients.push_back(i), parameters[i] = 0;
  if (!coefficients.empty()) {
    const Vector solved =
        positive_coefficients(weights, static_cast<int>(coefficients.size()), [&](int point) {
          LinearRow row;
          const double loss = std::exp(points.log_loss(point)),
                       without = loss_at(parameters, points.log_x(point));
          row.target = (loss - without) / loss;
          for (std::size_t k = 0; k < coefficients.size(); ++k) {
            std::vector<double> with = parameters;
            with[coefficients[k]] = 1;
            row.terms[k] = (loss_at(with, points.log_x(point)) - without) / loss;
          }
          return row;
        });
    for (std::size_t k = 0; k < coefficients.size(); ++k) parameters[coefficients[k]] = solved[k];
  }
  Vector theta{};
  const double tiny = std::exp(points.lowest_log_loss()) * 1e-3;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const ParameterRange& p = parameters_[i];
    theta[i] = !p.positive ? parameters[i] : std::log(std::max(parameters[i], p.coefficient ? tiny : 1e-300));
  }
  return theta;
}

// positions: one from 0 to 1 for each parameter that is no coefficient.
std::vector<double> FormulaForm::start_values(const Points& points,
                                              const std::vector<double>& positions) const {
  std::vector<double> values(parameters_.size(), 0.0);
  std::size_t axis = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const ParameterRange& p = parameters_[i];
    if (p.coefficient) continue;
    const double position = positions[axis++];
    if (p.variable >= 0) {
      const auto [least, most] = points.range(p.variable);
      values[i] = std::exp(least + (most - least) * (p.low + (p.high - p.low) * position));
    } else if (p.positive) {
      values[i] = p.low * std::pow(p.high / p.low, position);
    } else {
      values[i] = p.low + (p.high - p.low) * position;
    }
  }
  return values;
}

std::vector<Vector> FormulaForm::starts(const Points& points, std::span<const double> weights) const {
  constexpr int kPerAxis[kManyAxes] = {1, 24, 12, 6};  // by the number of axes
  constexpr int kDraws = 2000;
  const std::size_t axes = this->axes();
  std::vector<Vector> starts;
  if (axes < kManyAxes) {
    const int side = kPerAxis[axes];
    int total = 1;
    for (std::size_t a = 0; a < axes; ++a) total *= side;
    for (int cell = 0; cell < total; ++cell) {
      std::vector<double> positions;
      for (std::size_t a = 0, rest = static_cast<std::size_t>(cell); a < axes;
           ++a, rest /= static_cast<std::size_t>(side))
        positions.push_back(static_cast<double>(rest % static_cast<std::size_t>(side)) / (side - 1));
      starts.push_back(start_at(points, weights, start_values(points, positions)));
    }
    return starts;
  }
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    const Rng rng(1, draw);
    std::vector<double> positions;
    for (std::size_t a = 0; a < axes; ++a) positions.push_back(rng.uniform(a));
    starts.push_back(start_at(points, weights, start_values(points, positions)));
  }
  return starts;
}

}  // namespace loglog::fit
