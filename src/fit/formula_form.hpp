// Laws that are no sum of powers, written as a formula: on jets (fit/jet.hpp), from which value, gradient and Hessian come.
//
// theta holds the parameters in their order, the positive ones as logarithms. Such a law is not centred.
#pragma once
#include <functional>

#include "fit/jet.hpp"
#include "fit/law_form.hpp"

namespace loglog::fit {

// Where a parameter is looked for. With a variable, `low` and `high` are shares of its range in the data, 0 its least and 1 its largest value, in
// logarithms: for places on an axis.
struct ParameterRange {
  std::string name;
  bool positive = true;         // else any number
  double low = 0.02, high = 2;  // of starts; positive ones are spread evenly in logarithms
  int variable = -1;
  bool coefficient =
      false;  // the loss is linear in all of these together; starts take them from least squares, and no range
};

class FormulaForm final : public LawForm {
 public:
  // loss(parameters, x): x in the units of the data.
  using Formula = std::function<Jet(std::span<const Jet> parameters, std::span<const Jet> x)>;
  FormulaForm(int variables, std::vector<ParameterRange> parameters, Formula loss);

  int parameter_count() const override { return static_cast<int>(parameters_.size()); }
  std::string parameter_name(int index) const override {
    return parameters_[static_cast<std::size_t>(index)].name;
  }
  int floor_index() const override;  // a coefficient called E
  double log_loss(const Vector& theta, const double* log_x, Vector* gradient, Matrix* hessian) const override;
  Vector restore(const Vector& theta, std::span<const double>) const override { return theta; }
  Vector centre(const Vector& theta, std::span<const double>) const override { return theta; }
  bool is_centred() const override { return false; }
  Bounds bounds(const Points& points) const override;
  // A grid over the parameters that are no coefficients, or draws where there are four of them and more.
  std::vector<Vector> starts(const Points& points, std::span<const double> weights) const override;
  int followed_starts() const override { return axes() < kManyAxes ? 8 : 24; }

  const std::vector<ParameterRange>& parameters() const { return parameters_; }
  // A parameter as the user knows it.
  double value_of(const Vector& theta, int index) const;

 private:
  static constexpr std::size_t kManyAxes = 4;
  std::size_t axes() const;  // parameters that are no coefficients
  double loss_at(std::span<const double> parameters, const double* log_x) const;
  std::vector<double> start_values(const Points& points, const std::vector<double>& positions) const;
  Vector start_at(const Points& points, std::span<const double> weights,
                  std::vector<double> parameters) const;

  int variables_;
  std::vector<ParameterRange> parameters_;
  Formula loss_;
};

}  // namespace loglog::fit
