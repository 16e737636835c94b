// A model of which a part is quantised, and the rest is float32: how much of what a scheme costs that part is to blame for.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "nn/probe.hpp"
#include "quant/emulated_weight.hpp"
#include "quant/weights.hpp"

namespace loglog::quant {

// The sites whose inputs meet weights that schemes quantise.
inline constexpr nn::Site kLinearSites[] = {nn::Site::qkv, nn::Site::attention_out, nn::Site::up,
                                            nn::Site::down};

// Of the products of all linear layers those of one site, of one block, of one dimension of their inputs; what is absent is not chosen by.
struct ModelPart {
  std::optional<nn::Site> site;
  std::optional<Index> layer;
  std::optional<Index> dimension;  // inputs, and the row of weights that they meet

  bool holds(nn::Place place) const {
    return (!site || *site == place.site) && (!layer || *layer == place.layer);
  }
  friend bool operator==(const ModelPart&, const ModelPart&) = default;
};
// "everything", "qkv", "block 3", "qkv dimension 17"
std::string name_of(const ModelPart& part);

// What errs in a model.
struct PartialError {
  ModelPart part;
  bool inside = true;  // the part; else all but it
  RoundingError error = RoundingError::rounding;
  std::uint64_t seed = 1;  // of the noise; each weight draws its own from it
};

// Linear layers emulated (emulated_weight.hpp) where they are to err, else as they are. Embedding and head are float32.
class EmulatedWeights final : public ModelForm {
 public:
  // ContractError for a scheme that cannot be emulated. `weights` and `power`, which may be null and grows as models of this form are made
  // and run, outlive this object.
  EmulatedWeights(const WeightsOfModel& weights, const model::ModelConfig& config, const PartialError& error,
                  ErrorPower* power);

  const model::ParameterSource& others() const override { return weights_.others(); }
  // InputError for a weight that is not finite or has too many inputs. Counts nothing.
  model::Freeze freeze(const kernels::KernelTable& table, CountsByWeight* counts) const override;
  model::Freeze planned(const kernels::KernelTable& table) const override;

 private:
  std::optional<Emulation> emulation_of(std::string_view name, Index inputs) const;

  const WeightsOfModel& weights_;
  PartialError error_;
  ErrorPower* power_;
  std::map<std::string, nn::Place, std::less<>> places_;  // by weight
};

}  // namespace loglog::quant
