// config.json: what is read, and what is refused by file and key.
#include "formats/hf_config.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "formats/architecture.hpp"
#include "formats/foreign_models.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::formats;
using namespace loglog::testing;
using Catch::Contains;

namespace {

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(folder_.path() / "config.json") {
    write_atomically(real_file_system(), path_, text);
  }
  HfConfig read() const { return HfConfig(path_); }

 private:
  TemporaryFolder folder_;
  Path path_;
};

// The configuration of a small model as we would write it, with one key changed.
std::string edited(const Architecture& a, const model::ModelConfig& m, const std::string& key,
                   const Json& value) {
  Json config;
  a.write(m, config);
  config[key] = value;
  return config.dump();
}

model::ModelConfig read_back(const Architecture& a, const std::string& text) {
  const ConfigFile file(text);
  model::ModelConfig m;
  a.read(file.read(), m);
  return m;
}

}  // namespace

TEST_CASE("what is written is what is read, for every architecture") {
  for (const auto& [a, config] : {std::pair<const Architecture*, model::ModelConfig>{&gpt2(), small_gpt2()},
                                  {&opt(), small_opt()},
                                  {&gpt_neox(), small_neox()},
                                  {&llamas()[0], small_llama()},
                                  {&llamas()[1], small_llama()},
                                  {&llamas()[2], small_qwen2()}}) {
    model::ModelConfig m = config;
    if (a != &opt()) m.norm_epsilon = 0.25f;
    if (m.position == "rope") m.rope_base = 12345;
    INFO(std::string(a->model_type));
    CHECK(a->obstacle(m) == "");
    Json written;
    a->write(m, written);
    model::ModelConfig back = read_back(*a, written.dump());
    if (back.kv_heads == back.heads) back.kv_heads = 0;
    back.tied = m.tied;  // whose key is the same for all
    CHECK(back == m);
  }
}

TEST_CASE("what an architecture does not cover is refused by file and key") {
  struct Case {
    const Architecture& a;
    model::ModelConfig m;
    const char* key;
    Json value;
    const char* says;
  };
  const Json yarn = {{"type", "yarn"}, {"factor", 4.0}};
  const Case cases[] = {
      {gpt2(), small_gpt2(), "activation_function", "mish",
       "activation 'mish' is not covered; known: gelu_new"},
      {gpt2(), small_gpt2(), "scale_attn_weights", false, "must be true"},
      {gpt2(), small_gpt2(), "scale_attn_by_inverse_layer_idx", true, "must be false"},
      {gpt2(), small_gpt2(), "add_cross_attention", true, "encoder"},
      {gpt2(), small_gpt2(), "n_layer", 0, "0 is no whole number from 1 to 1024"},
      {gpt2(), small_gpt2(), "n_embd", 65537, "65537 is no whole number from 1 to 65536"},
      {gpt2(), small_gpt2(), "n_embd", 1e9, "is no whole number from 1 to 65536"},
      {gpt2(), small_gpt2(), "n_positions", "many", "'many' is no whole number"},
      {gpt2(), small_gpt2(), "vocab_size", nullptr, "it is missing"},
      {opt(), small_opt(), "do_layer_norm_before", false, "OPT-350m"},
      {opt(), small_opt(), "word_embed_proj_dim", 6, "hidden_size (12)"},
      {opt(), small_opt(), "enable_bias", false, "must be true"},
      {opt(), small_opt(), "layer_norm_elementwise_affine", false, "must be true"},
      {opt(), small_opt(), "_remove_final_layer_norm", true, "must be false"},
      {gpt_neox(), small_neox(), "rope_scaling", yarn, "scaled rotary positions"},
      {gpt_neox(), small_neox(), "rotary_pct", 0.8, "of a head of 4 elements 3 would turn"},
      {gpt_neox(), small_neox(), "rotary_pct", 0.25, "1 would turn"},
      {gpt_neox(), small_neox(), "rotary_pct", 2, "2 is no number from 0 to 1"},
      {gpt_neox(), small_neox(), "rotary_pct", 1e300, "is no number from 0 to 1"},
      {gpt_neox(), small_neox(), "rotary_emb_base", 0.5, "is no number from 1 to"},
      {gpt_neox(), small_neox(), "rope_parameters", Json::array({1}), "must be an object"},
      {gpt_neox(), small_neox(), "attention_bias", Json::array({true}), "a list where one value is expected"},
      {gpt_neox(), small_neox(), "hidden_act", Json::array(), "a list where one value is expected"},
      {gpt2(), small_gpt2(), "n_layer", {{"a", 1}}, "an object where one value is expected"},
      {gpt2(), small_gpt2(), "layer_norm_epsilon", Json::object(), "an object where one value is expected"},
      {gpt_neox(), small_neox(), "attention_bias", false, "must be true"},
      {gpt_neox(), small_neox(), "use_parallel_residual", "yes", "'yes' is neither true nor false"},
      {llamas()[0], small_llama(), "rope_scaling", yarn, "must be null"},
      {llamas()[0], small_llama(), "attention_bias", true, "must be false"},
      {llamas()[0], small_llama(), "mlp_bias", true, "must be false"},
      {llamas()[0], small_llama(), "head_dim", 8, "4 heads of it are not hidden_size (16)"},
      {llamas()[0], small_llama(), "hidden_act", "gelu", "as a gate"},
      {llamas()[0], small_llama(), "rms_norm_eps", "small", "'small' is no number"},
      {llamas()[0], small_llama(), "rms_norm_eps", 1e300, "is no number from 1e-12 to 1"},
      {llamas()[0], small_llama(), "partial_rotary_factor", 0.5, "turn in part"},
      {llamas()[1], small_llama(), "sliding_window", 3, "a window below max_position_embeddings (7)"},
      {llamas()[2], small_qwen2(), "use_sliding_window", true, "must be false"},
  };
  for (const Case& c : cases) {
    const std::string text = edited(c.a, c.m, c.key, c.value);
    INFO(text);
    CHECK_THROWS_WITH(read_back(c.a, text), Contains("config.json'") &&
                                                Contains(fmt::format("key '{}'", c.key)) && Contains(c.says));
  }
}

TEST_CASE("rotary positions in the words of newer files") {
  Json config;
  llamas()[0].write(small_llama(), config);
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 77.0}};
  CHECK(read_back(llamas()[0], config.dump()).rope_base == 77.0);
  config["rope_parameters"]["rope_type"] = "llama3";
  CHECK_THROWS_WITH(read_back(llamas()[0], config.dump()),
                    Contains("rope_parameters/rope_type") && Contains("llama3"));
}

TEST_CASE("models that an architecture cannot say") {
  const auto with = [](auto change) {
    model::ModelConfig m = small_gpt2();
    change(m);
    return m;
  };
  CHECK(gpt2().obstacle(with([](auto& m) { m.norm = "rmsnorm"; })) ==
        "model.norm is rmsnorm, there it is layernorm");
  CHECK(gpt2().obstacle(with([](auto& m) { m.bias = false; })) == "model.bias is false, there it is true");
  CHECK(gpt2().obstacle(with([](auto& m) { m.kv_heads = 1; })) == "model.kv_heads is 1, there it is 3");
  CHECK(gpt2().obstacle(with([](auto& m) { m.mask = "full"; })) == "model.mask is full, there it is causal");
  CHECK(gpt2().obstacle(with([](auto& m) { m.qk_norm = true; })) ==
        "model.qk_norm is true, there it is false");
  CHECK_THAT(gpt2().obstacle(with([](auto& m) { m.mlp = "swiglu"; })),
             Contains("there it is gelu or gelu-erf"));
  CHECK_THAT(opt().obstacle(with([](auto& m) { m.norm_epsilon = 1e-3f; })), Contains("model.norm_epsilon"));
  CHECK_THAT(gpt_neox().obstacle(small_gpt2()), Contains("model.position is learned"));
  model::ModelConfig odd = small_neox();  // heads of 10: int(10 * 0.5) elements turn there
  odd.width = 30;
  CHECK(gpt_neox().obstacle(odd) == "the number of elements of a head that turn is 4, there it is 5");
  odd = small_llama();
  odd.width = 20;  // heads of 5
  CHECK_THAT(llamas()[0].obstacle(odd), Contains("of a head that turn is 4, there it is 5"));
  CHECK_THAT(llamas()[0].obstacle(small_qwen2()), Contains("model.qkv_bias"));
  CHECK_THAT(llamas()[2].obstacle(small_llama()), Contains("model.qkv_bias"));
}

TEST_CASE("keys that nobody asked for are told, those without meaning are not") {
  Json config;
  gpt2().write(small_gpt2(), config);
  config["use_cache"] = true;
  config["resid_pdrop"] = 0.1;
  config["novel_trick"] = {{"a", 1}, {"b", 2}};
  config["empty"] = nullptr;
  const ConfigFile file(config.dump());
  const HfConfig read = file.read();
  model::ModelConfig m;
  gpt2().read(read, m);
  CHECK(read.unread() == std::vector<std::string>{"novel_trick"});
}

TEST_CASE("what is no configuration") {
  for (const auto& [text, says] : {std::pair<const char*, const char*>{"", "no valid JSON"},
                                   {"{\"n_layer\": 1, \"n_layer\": 2}", "there twice"},
                                   {"{\"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "levels"}}) {
    const ConfigFile file(text);
    CHECK_THROWS_WITH(file.read(), Contains("config.json'") && Contains(says));
  }
  CHECK_THROWS_AS(HfConfig("/nowhere/config.json"), InputError);
}
