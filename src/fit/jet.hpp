// A number with its first and second derivatives along a few directions: what a formula that is written for doubles becomes to be fitted.
// Forward mode, exact to rounding (Griewank and Walther 2008, chapter 13).
#pragma once
#include <algorithm>
#include <array>
#include <cmath>

#include "fit/dense.hpp"

namespace loglog::fit {

class Jet {
 public:
  Jet(double value = 0) : value_(value) {}  // NOLINT(google-explicit-constructor): a constant is a number
  // The variable that direction `index` moves.
  static Jet variable(double value, int index) {
    Jet x(value);
    x.size_ = index + 1;
    for (int i = 0; i <= index; ++i) {
      x.gradient_[static_cast<std::size_t>(i)] = i == index ? 1 : 0;
      for (int j = 0; j <= i; ++j) x.hessian_[place(i, j)] = 0;
    }
    return x;
  }

  double value() const { return value_; }
  double gradient(int i) const { return i < size_ ? gradient_[static_cast<std::size_t>(i)] : 0; }
  double hessian(int i, int j) const { return std::max(i, j) < size_ ? hessian_[place(i, j)] : 0; }

  // f(x), given f, f' and f'' there.
  static Jet composed(const Jet& x, double f, double df, double ddf) {
    Jet r(f);
    r.size_ = x.size_;
    for (int i = 0; i < x.size_; ++i) {
      const double gi = x.gradient(i);
      r.gradient_[static_cast<std::size_t>(i)] = df * gi;
      for (int j = 0; j <= i; ++j)
        r.hessian_[place(i, j)] = df * x.hessian_[place(i, j)] + ddf * gi * x.gradient(j);
    }
    return r;
  }
  // a x + b y.
  static Jet combined(double a, const Jet& x, double b, const Jet& y) {
    Jet r(a * x.value_ + b * y.value_);
    r.size_ = std::max(x.size_, y.size_);
    for (int i = 0; i < r.size_; ++i) {
      r.gradient_[static_cast<std::size_t>(i)] = a * x.gradient(i) + b * y.gradient(i);
      for (int j = 0; j <= i; ++j) r.hessian_[place(i, j)] = a * x.hessian(i, j) + b * y.hessian(i, j);
    }
    return r;
  }
  static Jet product(const Jet& x, const Jet& y) {
    Jet r = combined(y.value_, x, x.value_, y);
    r.value_ = x.value_ * y.value_;
    for (int i = 0; i < r.size_; ++i)
      for (int j = 0; j <= i; ++j)
        r.hessian_[place(i, j)] += x.gradient(i) * y.gradient(j) + x.gradient(j) * y.gradient(i);
    return r;
  }

 private:
  static constexpr std::size_t place(int i, int j) {
    const int row = std::max(i, j);
    return static_cast<std::size_t>(row * (row + 1) / 2 + std::min(i, j));
  }
  double value_;
  int size_ = 0;  // directions from here on do not move it; nothing is kept of them
  std::array<double, kMaxParameters> gradient_;
  std::array<double, kMaxParameters*(kMaxParameters + 1) / 2> hessian_;  // lower triangle by rows
};

inline double plain(const Jet& x) {
  return x.value();
}
inline Jet operator+(const Jet& x, const Jet& y) {
  return Jet::combined(1, x, 1, y);
}
inline Jet operator-(const Jet& x, const Jet& y) {
  return Jet::combined(1, x, -1, y);
}
inline Jet operator-(const Jet& x) {
  return Jet::combined(-1, x, 0, Jet());
}
inline Jet operator*(const Jet& x, const Jet& y) {
  return Jet::product(x, y);
}
inline Jet inverse(const Jet& x) {
  const double r = 1 / x.value();
  return Jet::composed(x, r, -r * r, 2 * r * r * r);
}
inline Jet operator/(const Jet& x, const Jet& y) {
  return x * inverse(y);
}
inline Jet exp(const Jet& x) {
  const double e = std::exp(x.value());
  return Jet::composed(x, e, e, e);
}
inline Jet log(const Jet& x) {
  const double r = 1 / x.value();
  return Jet::composed(x, std::log(x.value()), r, -r * r);
}
inline Jet sqrt(const Jet& x) {
  const double s = std::sqrt(x.value());
  return Jet::composed(x, s, 0.5 / s, -0.25 / (s * x.value()));
}
// A power that no direction moves is one of x alone, which may be negative where the power is whole.
inline Jet pow(const Jet& x, const Jet& y) {
  const double p = y.value(), f = std::pow(x.value(), p);
  bool moves = false;
  for (int i = 0; i < kMaxParameters; ++i) moves = moves || y.gradient(i) != 0;
  if (moves) return exp(y * log(x));
  return Jet::composed(x, f, p * std::pow(x.value(), p - 1), p * (p - 1) * std::pow(x.value(), p - 2));
}

}  // namespace loglog::fit
