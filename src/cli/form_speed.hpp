// How fast a model in one form reads text, beside another in turn: a slow minute slows both.
#pragma once
#include <vector>

#include "cli/model_data.hpp"
#include "infer/decoder.hpp"

namespace loglog::cli {

struct Rates {
  double prompt = 0, decode = 0;  // tokens per second; 0 where the context has no room for any
};

// Of one form, with a cache of its own.
class FormSpeed {
 public:
  // `model` and `data` outlive this object.
  FormSpeed(quant::RunningModel& model, const ModelData& data);

  // A prompt of at most 512 tokens, and at most 16 tokens one by one behind it.
  void measure();
  const std::vector<Rates>& rounds() const { return rounds_; }
  Rates median() const;

 private:
  double rate_of(std::size_t first, std::size_t count, std::size_t at_a_time);

  quant::RunningModel& model_;
  infer::Decoder decoder_;
  std::vector<data::Token> tokens_;
  std::size_t prompt_, decoded_;
  std::vector<Rates> rounds_;
};

// Five rounds of both. Medians over them of `other`'s rates over `exact`'s.
Rates measure_in_turn(FormSpeed& exact, FormSpeed& other);

}  // namespace loglog::cli
