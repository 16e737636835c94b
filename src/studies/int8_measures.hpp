// From what int8 makes of the models of the study `int8` to the numbers that its claims are judged by. Rises are those of per-byte
// perplexity, relative to float32.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "quant/quantized_weight.hpp"
#include "studies/manifest.hpp"
#include "studies/verdict.hpp"

namespace loglog::studies {

// The forms in which each model is run, float32 apart. Those that decompose, in both treatments: as published, the rows of W that meet
// outliers come from int8; calibrated, those of outliers that calibration found stay float32.
enum class Int8Form {
  absmax_tensor,
  absmax_row,
  absmax_vector,
  zeropoint_tensor,
  zeropoint_row,
  zeropoint_vector,
  row_decomposition,
  row_decomposition_calibrated,
  llm,
  llm_calibrated,
  llm_zeropoint,
  llm_zeropoint_calibrated
};

struct Int8FormName {
  const char* scheme;
  const char* title;
  bool calibrated = false;
};
inline constexpr std::array kInt8Forms = {  // as Int8Form
    Int8FormName{"absmax-tensor", "absmax"},
    Int8FormName{"absmax-row", "absmax row-wise"},
    Int8FormName{"absmax-vector", "absmax vector-wise"},
    Int8FormName{"zeropoint-tensor", "zeropoint"},
    Int8FormName{"zeropoint-row", "zeropoint row-wise"},
    Int8FormName{"zeropoint-vector", "zeropoint vector-wise"},
    Int8FormName{"row-decomposition", "row-wise + decomposition"},
    Int8FormName{"row-decomposition", "row-wise + decomposition, calibrated", true},
    Int8FormName{"llm-int8", "LLM.int8() absmax"},
    Int8FormName{"llm-int8", "LLM.int8() absmax, calibrated", true},
    Int8FormName{"llm-int8-zeropoint", "LLM.int8() zeropoint"},
    Int8FormName{"llm-int8-zeropoint", "LLM.int8() zeropoint, calibrated", true}};
inline const char* title_of(Int8Form form) {
  return kInt8Forms[static_cast<std::size_t>(form)].title;
}

// A model in every form.
struct Int8Arm {
  struct InForm {
    double rise = 0;
    std::vector<double> samples;  // of the rise: bootstrap over blocks of text, the same blocks for all forms
    quant::ProductCounts counts;
    std::size_t bytes = 0;  // of all weights
  };
  double float_loss = 0;  // nats per token
  std::size_t float_bytes = 0;
  std::array<InForm, kInt8Forms.size()> forms;

  const InForm& operator[](Int8Form form) const { return forms[static_cast<std::size_t>(form)]; }
};

struct Int8Natural {
  std::string model;  // "j, seed 1"
  Int8Arm arm;
};

// Copies of a model with outliers planted, scale by scale.
struct Int8Planted {
  std::string model;
  double parameters = 0;  // N
  bool one_signed = false;
  std::vector<double> scales;  // ascending
  std::vector<Int8Arm> arms;   // of each scale

  const Int8Arm& at(double scale) const;  // ContractError for one that is not there
  std::string name() const;               // "j, seed 1, two-signed"
  double largest_rise(Int8Form form) const;
};

// Powers of two from 1 to the manifest's highest.
std::vector<double> planted_scales(const Manifest& manifest);
// At which models of a kind are judged where it is not at all of them.
double judged_scale(const Manifest& manifest, bool one_signed);

// Every number is taken on every model, and what rests on one alone says so. What is asked of planted models is untestable where there is
// none. Decomposition is judged calibrated where outliers are planted: planting divides the rows of W that meet
// them, which then, as published, err in int8 by no fault of decomposition.

using PlantedModels = std::vector<Int8Planted>;
// Of two-signed outliers: one-signed ones leave so little of the model that perplexities saturate and no ratio of them says anything.
Finding broken_by_outliers(Claim claim, const PlantedModels& planted, const Manifest& manifest);
// Tensor-wise, vector-wise, zeropoint vector-wise, LLM.int8().
Finding in_order(Claim claim, const PlantedModels& planted, const Manifest& manifest);
Finding as_bad_by_rows(Claim claim, const PlantedModels& planted, const Manifest& manifest);
// The largest rise over all scales, resample by resample.
Finding mended(Claim claim, const PlantedModels& planted, const Manifest& manifest);
// The slope of log rise over log scale between two scales, two-signed as above.
Finding squared(Claim claim, const PlantedModels& planted, const Manifest& manifest);
// What zeropoint gains over absmax beside decomposition, as a share of what it gains without.
Finding edge_gone(Claim claim, const PlantedModels& planted, const Manifest& manifest);

// LLM.int8() in both treatments, which differ by outliers alone.
Finding harmless(Claim claim, const std::vector<Int8Natural>& natural, const Manifest& manifest);
// All weights as LLM.int8() keeps them, over float32's.
Finding smaller(Claim claim, const std::vector<Int8Natural>& natural, const Manifest& manifest);

}  // namespace loglog::studies
