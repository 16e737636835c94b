// Architectures of Hugging Face that our models can be: what of config.json says what of ours, and which tensor is which. One file each.
//
// Sources: the modeling_*.py and configuration_*.py of the library `transformers`.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "formats/hf_config.hpp"
#include "formats/tensor_map.hpp"
#include "model/config.hpp"

namespace loglog::formats {

using model::ModelConfig;
using Json = nlohmann::ordered_json;

struct Architecture {
  std::string_view model_type;  // in config.json
  std::string_view class_name;  // of the model with its head, there under "architectures"
  std::string_view prefix;      // of all tensors but the head's; files of the bare model lack it
  std::string_view head;        // the head's weight, where it is not the embedding
  bool usually_tied;            // what an absent tie_word_embeddings means

  // Fills all but `tied`. InputError naming the key of what is not covered.
  void (*read)(const HfConfig& config, ModelConfig& m);
  // What of the model has no form here: "model.norm is rmsnorm, here layernorm"; empty when it can be written.
  std::string (*obstacle)(const ModelConfig& m);
  // Adds all keys but model_type, architectures and tie_word_embeddings.
  void (*write)(const ModelConfig& m, Json& config);
  // All tensors but the head's, without the prefix.
  std::vector<TensorMap> (*tensors)(const ModelConfig& m);
  // Tensors that hold no parameter: masks and tables that older files have.
  bool (*is_buffer)(std::string_view name);
};

const Architecture& gpt2();
const Architecture& gpt_neox();
const Architecture& opt();
std::span<const Architecture> llamas();  // llama, mistral and qwen2, which differ in defaults

std::vector<const Architecture*>
architectures();  // all, in the order in which one is looked for that can say a model

// All tensors of a model, the head's too where it has one of its own; names as in a file of the model with its head.
std::vector<TensorMap> tensor_maps(const Architecture& a, const ModelConfig& m);

// Sizes as any of them may have; ours go no further (model/config.hpp).
inline constexpr Index kMostLayers = 1024, kMostWidth = 65536, kMostHeads = 1024, kMostHidden = 1 << 20,
                       kMostContext = 1 << 20, kMostVocab = 1 << 24;

// The keys that most of them share for these, but for the perceptron's width.
void read_sizes(const HfConfig& config, const std::string& mlp_key, ModelConfig& m);
void write_sizes(const ModelConfig& m, const std::string& mlp_key, Json& config);

// model.mlp of an activation's name, ungated. InputError naming the key.
std::string activation_from(const HfConfig& config, const std::string& key, const std::string& usual);
std::string activation_to(
    const std::string& mlp);  // "gelu" is gelu_new, "gelu-erf" gelu, ...; silu of swiglu

// Collects why a model has no form in an architecture; the first reason counts.
class Obstacles {
 public:
  template <class Value, class Wanted>
  Obstacles& needs(std::string_view key, const Value& value, const Wanted& wanted) {
    if (first_.empty() && value != wanted) note(key, value_text(value), value_text(wanted));
    return *this;
  }
  Obstacles& needs_one_of(std::string_view key, const std::string& value,
                          std::initializer_list<std::string_view> wanted);
  const std::string& first() const { return first_; }

 private:
  template <class Value>
  static std::string value_text(const Value& value) {
    if constexpr (std::is_convertible_v<Value, std::string_view>) {
      return std::string(value);
    } else {
      return Json(value).dump();
    }
  }
  void note(std::string_view key, const std::string& value, const std::string& wanted);
  std::string first_;
};

// What all of them have in common: causal, no norms of queries and keys, a perceptron.
Obstacles usual_obstacles(const ModelConfig& m);
// And the older ones: LayerNorm and biases, as many heads of keys as of queries, no gate.
Obstacles layernorm_obstacles(const ModelConfig& m);

// "blocks.I.NAME"
std::string block_name(Index i, std::string_view name);

}  // namespace loglog::formats
