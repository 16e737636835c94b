// Derivatives without subtraction: f'(x) = Im f(x + i h) / h, exact to rounding for h = 1e-30 because nothing cancels.
//
// Source: Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions". f must be
// analytic: written with + - * / exp log tanh sqrt on the template's scalar, comparing real parts only.
#pragma once
#include <complex>
#include <span>
#include <vector>

namespace loglog::testing {

using Complex = std::complex<double>;
inline constexpr double kComplexStep = 1e-30;

// d f / d direction at x. f: span<const Complex> -> Complex.
template <class Function>
double directional_derivative(Function&& f, std::span<const double> x, std::span<const double> direction) {
  std::vector<Complex> z(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) z[i] = {x[i], kComplexStep * direction[i]};
  return std::imag(f(std::span<const Complex>(z))) / kComplexStep;
}

// All partial derivatives: one call of f per input.
template <class Function>
std::vector<double> gradient(Function&& f, std::span<const double> x) {
  std::vector<Complex> z(x.begin(), x.end());
  std::vector<double> partial(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    z[i].imag(kComplexStep);
    partial[i] = std::imag(f(std::span<const Complex>(z))) / kComplexStep;
    z[i].imag(0.0);
  }
  return partial;
}

}  // namespace loglog::testing
