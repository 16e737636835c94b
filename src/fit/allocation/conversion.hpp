// One law, two ways to count: what a sweep in another convention of parameters and FLOPs would find, from the law in this one.
//
// A law fitted to total parameters says what loss a model has, whatever its size is called. Counted without embeddings the same models have
// other N and other C, their order is the same but their distances are not, and the exponent of N_opt ~ C^a becomes another one, which changes
// with C (Pearce and Song 2024; Porian et al. 2024).
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fit/allocation/fitted_law.hpp"
#include "fit/allocation/frontier.hpp"

namespace loglog::fit {

// A model's parameters, and FLOPs of training on a token, in one convention.
struct Counted {
  double N = 0, cost = 0;
};
struct CountedModel {
  Counted law;    // as the law was fitted
  Counted other;  // as the other sweep counts
};

// Models of all sizes between the least and the largest. Between given ones by Akima's curve through logarithms.
class ModelFamily {
 public:
  // At least three models of different size; UsageError, also when a larger one in one convention is smaller in the other.
  explicit ModelFamily(std::vector<CountedModel> models);
  // N of the law from N of the other as a formula, "N + 47491*N^(1/3)"; 6 FLOPs for each parameter in both.
  ModelFamily(const std::string& formula, double least, double largest);

  const std::vector<CountedModel>& models() const { return models_; }
  CountedModel at(double log_N) const { return model_(log_N); }  // ln N of the other convention
  double low() const { return std::log(models_.front().other.N); }
  double high() const { return std::log(models_.back().other.N); }

 private:
  std::vector<CountedModel> models_;
  std::function<CountedModel(double log_N)> model_;
};

enum class Convention { law, other };

struct SweepPoint {
  double C = 0, N = 0, D = 0, loss = 0;
};
// The best model at each budget, all in one convention, and straight lines through the logarithms.
struct SweepPrediction {
  std::vector<SweepPoint> points;
  double a = NAN, b = NAN;     // N_opt ~ C^a, D_opt ~ C^b
  double loss_exponent = NAN;  // loss ~ C^-x, without a floor
};
// Of all sizes of the family, as a sweep with many would find; budgets whose best model is the least or the largest are left out.
SweepPrediction predict_sweep(const Law& law, const Vector& theta, const ModelFamily& family,
                              Convention convention, std::span<const double> budgets);
// Of these models alone, each trained on what the budget allows, or on the nearest of `tokens` where there are any.
SweepPrediction predict_sweep_of(const Law& law, const Vector& theta, const std::vector<CountedModel>& models,
                                 Convention convention, std::span<const double> budgets,
                                 std::span<const double> tokens = {});

std::vector<double> log_spaced(double low, double high, int count);

struct Conversion {
  std::vector<double> budgets;           // of the other convention
  SweepPrediction law, other, of_these;  // of_these: the given models alone, in the other convention
  Interval a_law, a_other, gap;          // gap: a_other - a_law
};
// The law's own convention is swept over the computes that the same best models have in it.
Conversion convert(const FittedLaw& fitted, const ModelFamily& family, const std::vector<double>& budgets);

nlohmann::ordered_json conversion_json(const FittedLaw& fitted, const Conversion& conversion);
std::string conversion_text(const FittedLaw& fitted, const Conversion& conversion);

}  // namespace loglog::fit
