// A model of another program, read.
#pragma once
#include <functional>
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

// A model to take values or to give them: for inference, of one token at a time, all that a Gpt needs to exist.
std::unique_ptr<model::Gpt> make_holder(const model::ModelConfig& m);
// Bytes that it takes, with the largest of its tensors on the way to or from a file.
std::size_t holder_bytes(const model::ModelConfig& m);

// Sees what model a file claims to be, once the file has the tensors for it and before memory is taken; may throw to refuse it.
using AcceptModel = std::function<void(const model::ModelConfig&)>;

// Adds a notice where values are not finite: such a model computes nothing.
void note_not_finite(ImportedModel& model);

// The parameter of this name, which there must be (ContractError).
const tensor::Parameter& parameter(const model::Gpt& gpt, std::string_view name);

}  // namespace loglog::formats
