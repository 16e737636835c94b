// A model of another program, read.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formats/tensor_map.hpp"
#include "model/gpt.hpp"

namespace loglog::formats {

struct ImportedModel {
  model::RunConfig config;           // resolved; the model part is that of the file, the others are defaults
  std::unique_ptr<model::Gpt> gpt;   // with the values of the file
  std::string tokenizer;             // JSON as in a token file's header; empty where it is not known
  std::vector<std::string> notices;  // what the user should know
};

// Completes a configuration whose model part was read from the file of that name. InputError where a value is outside its range.
model::RunConfig completed(const model::ModelConfig& m, const std::string& file);

// A model to take values or to give them: one sequence of one token, all that a Gpt needs to exist.
std::unique_ptr<model::Gpt> make_holder(const model::ModelConfig& m);

// The parameter of this name, which there must be (ContractError).
const tensor::Parameter& parameter(const model::Gpt& gpt, std::string_view name);

}  // namespace loglog::formats
