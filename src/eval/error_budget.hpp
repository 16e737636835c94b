// The error budget of a quantised model: what each part of it costs, alone and when all the others are quantised as well.
//
//   alone   loss with the part in int8 and the rest in float32, less the loss in float32
//   rest    loss with all but the part in int8, less the loss in float32
//   noise   as alone, with x' = x + step u in place of rounding, u uniform in [-1/2, 1/2): noise of variance step^2 / 12 that depends on
//           nothing (quant/emulated_weight.hpp)
//
// Where costs add up, everything = alone + rest for every part, and the sum of alone over the parts that make up the model is everything.
// Where rounding is such noise, alone = noise but for chance, and the power of its errors is step^2 / 12 on average.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/form_losses.hpp"
#include "quant/emulated_weights.hpp"

namespace loglog::eval {

// Parts of one kind.
struct BudgetParts {
  std::string by;  // "site"
  std::vector<quant::ModelPart> parts;
  bool is_partition = true;  // together they are everything
};
BudgetParts parts_by_site(const model::ModelConfig& config);
BudgetParts parts_by_layer(const model::ModelConfig& config);
// At each site, over all blocks, the `count` dimensions of the largest inputs that were seen there, the largest first, the first of equals.
BudgetParts parts_by_dimension(const model::ModelConfig& config, const quant::Calibration& seen,
                               quant::Index count);
// Or these, at every site that has them. UsageError for one that none has.
BudgetParts parts_by_dimension(const model::ModelConfig& config, const std::vector<quant::Index>& dimensions);

// Losses in nats per token more than in float32.
struct BudgetLine {
  quant::ModelPart part;
  PairedDifference alone, rest, noise;
  quant::ErrorPower power;  // of the errors that rounding the part alone made
};
struct BudgetTable {
  std::string by;
  std::vector<BudgetLine> lines;
  std::optional<PairedDifference> sum;  // of alone, of parts that together are everything
};
struct ErrorBudget {
  BudgetLine everything;  // nothing is its rest
  std::vector<BudgetTable> tables;
};

// A model as it is asked for, in some form: one pass over the text. `what` is for people. Nothing when it was broken off.
using FormPass = std::function<std::optional<FormLosses>(const quant::ModelForm& form,
                                                         const std::string& what, nn::Probe* probe)>;

// What is to be quantised; all outlive what is measured of them. Its scheme can be emulated.
struct BudgetModel {
  const quant::WeightsOfModel& weights;
  const model::ModelConfig& config;
  const FormPass& pass;
};

// In float32, and what the linear layers take then.
struct ExactLosses {
  FormLosses losses;
  quant::Calibration inputs;
};
std::optional<ExactLosses> exact_losses(const BudgetModel& model);

// Takes 2 passes and 3 of each part. `seed` is that of noise and bootstrap.
std::optional<ErrorBudget> error_budget(const BudgetModel& model, const FormLosses& exact,
                                        const std::vector<BudgetParts>& parts, std::uint64_t seed);

}  // namespace loglog::eval
