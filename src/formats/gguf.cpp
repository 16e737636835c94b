#include "formats/gguf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "data/bpe.hpp"
#include "data/bpe_files.hpp"
#include "formats/architecture.hpp"
#include "io/gguf_writer.hpp"

namespace loglog::formats {
namespace {

using io::GgufWriter;
using model::Gpt;

struct GgufArchitecture {
  const char* name;
  std::string (*obstacle)(const ModelConfig& m);
  std::vector<TensorMap> (*tensors)(const ModelConfig& m);
  bool needs_head;  // llama.cpp does not take the embedding for a head that is missing
};

std::string block(Index i, std::string_view name) {
  return fmt::format("blk.{}.{}", i, name);
}

// GPT-2 and GPT-NeoX, which differ in positions alone once queries, keys and values are in order.
std::vector<TensorMap> gpt_tensors(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, hidden = m.hidden();
  maps.matrix("token_embd.weight", "embedding.token", m.vocab, width);
  if (m.position == "learned") maps.matrix("position_embd.weight", "embedding.position", m.context, width);
  for (Index i = 0; i < m.layers; ++i) {
    maps.norm(block(i, "attn_norm"), block_name(i, "attention.norm"), width, true);
    maps.linear(block(i, "attn_qkv"), block_name(i, "attention.qkv"), {width, 3 * width, true});
    maps.linear(block(i, "attn_output"), block_name(i, "attention.out"), {width, width, true});
    maps.norm(block(i, "ffn_norm"), block_name(i, "mlp.norm"), width, true);
    maps.linear(block(i, "ffn_up"), block_name(i, "mlp.up"), {width, hidden, true});
    maps.linear(block(i, "ffn_down"), block_name(i, "mlp.down"), {hidden, width, true});
  }
  maps.norm("output_norm", "head.norm", width, true);
  return maps.take();
}

// Qwen2 turns element i with i + half as we do, Llama there turns neighbours.
template <bool kLlama>
std::vector<TensorMap> llama_tensors(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, kv = m.kv_width(), hidden = m.hidden(), size = m.head_size();
  const HeadOrder order = kLlama ? HeadOrder::rotary_pairs : HeadOrder::ours;
  maps.matrix("token_embd.weight", "embedding.token", m.vocab, width);
  for (Index i = 0; i < m.layers; ++i) {
    const std::string qkv = block_name(i, "attention.qkv"), gate_up = block_name(i, "mlp.gate_up");
    maps.norm(block(i, "attn_norm"), block_name(i, "attention.norm"), width, false);
    maps.linear(block(i, "attn_q"), qkv, {width, width, m.qkv_bias, 0, order, m.heads, size});
    maps.linear(block(i, "attn_k"), qkv, {width, kv, m.qkv_bias, width, order, m.key_heads(), size});
    maps.linear(block(i, "attn_v"), qkv, {width, kv, m.qkv_bias, width + kv});
    maps.linear(block(i, "attn_output"), block_name(i, "attention.out"), {width, width, false});
    maps.norm(block(i, "ffn_norm"), block_name(i, "mlp.norm"), width, false);
    maps.linear(block(i, "ffn_gate"), gate_up, {width, hidden, false});
    maps.linear(block(i, "ffn_up"), gate_up, {width, hidden, false, hidden});
    maps.linear(block(i, "ffn_down"), block_name(i, "mlp.down"), {hidden, width, false});
  }
  maps.norm("output_norm", "head.norm", width, false);
  return maps.take();
}

// What the architecture of Hugging Face asks for, and the one activation that llama.cpp has for it.
std::string gpt2_obstacle(const ModelConfig& m) {
  const std::string first = gpt2().obstacle(m);
  return first.empty() ? Obstacles().needs("model.mlp", m.mlp, "gelu").first() : first;
}
// It computes the tanh form for models of the other one too, as it does with Pythia.
std::string gptneox_obstacle(const ModelConfig& m) {
  const std::string first = gpt_neox().obstacle(m);
  return first.empty() ? Obstacles().needs_one_of("model.mlp", m.mlp, {"gelu", "gelu-erf"}).first() : first;
}
std::string llama_obstacle(const ModelConfig& m) {
  const std::string first = llamas()[0].obstacle(m);
  return first.empty() ? Obstacles().needs("model.mlp", m.mlp, "swiglu").first() : first;
}
std::string qwen2_obstacle(const ModelConfig& m) {
  const std::string first = llamas()[2].obstacle(m);
  return first.empty() ? Obstacles().needs("model.mlp", m.mlp, "swiglu").first() : first;
}

constexpr GgufArchitecture kArchitectures[] = {
    {"gpt2", gpt2_obstacle, gpt_tensors, false},
    {"gptneox", gptneox_obstacle, gpt_tensors, true},
    {"llama", llama_obstacle, llama_tensors<true>, false},
    {"qwen2", qwen2_obstacle, llama_tensors<false>, false},
};

const GgufArchitecture& choose(const ModelConfig& m) {
  std::string reasons;
  for (const GgufArchitecture& a : kArchitectures) {
    const std::string obstacle = a.obstacle(m);
    if (obstacle.empty()) return a;
    reasons += fmt::format("\n  {}: {}", a.name, obstacle);
  }
  throw UsageError("llama.cpp has no architecture for this model:" + reasons);
}

void add_shape(GgufWriter& file, const GgufArchitecture& a, const ModelConfig& m, io::Dtype dtype) {
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", a.name, name); };
  const auto whole = [&](std::string_view name, Index value) {
    file.add(key(name), static_cast<std::uint32_t>(value));
  };
  constexpr std::uint32_t kAllF32 = 0, kMostlyF16 = 1;
  file.add("general.architecture", a.name);
  file.add("general.file_type", dtype == io::Dtype::f32 ? kAllF32 : kMostlyF16);
  whole("vocab_size", m.vocab);
  whole("context_length", m.context);
  whole("embedding_length", m.width);
  whole("block_count", m.layers);
  whole("feed_forward_length", m.hidden());
  whole("attention.head_count", m.heads);
  whole("attention.head_count_kv", m.key_heads());
  file.add(key(m.norm == "rmsnorm" ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
           m.norm_epsilon);
  if (m.position == "rope") {
    whole("rope.dimension_count", 2 * m.rotary_pairs());
    file.add(key("rope.freq_base"), static_cast<float>(m.rope_base));
  }
  if (std::string_view(a.name) == "gptneox") file.add(key("use_parallel_residual"), m.block == "parallel");
}

// Vectors are added to and multiplied in float32 there, and so are positions.
io::Dtype type_of(const TensorMap& map, io::Dtype dtype) {
  return map.shape.size() == 1 || map.ours == "embedding.position" ? io::Dtype::f32 : dtype;
}

void add_tensor(GgufWriter& file, const TensorMap& map, const tensor::Parameter& ours, io::Dtype dtype) {
  constexpr float kLargestHalf = 65504.0f;
  const io::Dtype type = type_of(map, dtype);
  const auto is_too_large = [](float x) { return std::abs(x) > kLargestHalf; };
  if (type == io::Dtype::f16 && std::any_of(ours.value, ours.value + ours.size(), is_too_large)) {
    throw UsageError(
        fmt::format("'{}' has values beyond {}, the largest of f16: write f32", map.ours, kLargestHalf));
  }
  file.add_tensor(map.theirs, map.shape, type,
                  [map, ours](std::span<float> values) { to_theirs(map, values, ours); });
}

// Kinds of tokens in tokenizer.ggml.token_type.
enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUnused = 5 };

// `described` is the tokenizer.json of a byte-level BPE.
void add_bpe(GgufWriter& file, const std::string& described, Index vocab) {
  const nlohmann::json json = nlohmann::json::parse(described), &bpe = json.at("model");
  const auto size = static_cast<std::size_t>(vocab);
  std::vector<std::string> tokens(size);
  std::vector<std::int32_t> types(size, kUnused);
  for (std::size_t i = 0; i < size; ++i) tokens[i] = fmt::format("[PAD{}]", i);
  for (const auto& [token, id] : bpe.at("vocab").items()) tokens.at(id) = token, types.at(id) = kNormal;
  for (const nlohmann::json& special : json.at("added_tokens")) {
    const auto id = special.at("id").get<std::uint32_t>();
    tokens.at(id) = special.at("content"), types.at(id) = kControl;
    file.add("tokenizer.ggml.eos_token_id", id);
    file.add("tokenizer.ggml.bos_token_id", id);
  }
  file.add("tokenizer.ggml.model", "gpt2");
  file.add("tokenizer.ggml.pre", "gpt-2");
  file.add("tokenizer.ggml.tokens", tokens);
  file.add("tokenizer.ggml.token_type", types);
  file.add("tokenizer.ggml.merges", bpe.at("merges").get<std::vector<std::string>>());
}

void add_tokenizer(GgufWriter& file, const data::TextCodec* codec, Index vocab,
                   std::vector<std::string>& notices) {
  const nlohmann::json described = codec == nullptr ? nlohmann::json::object() : codec->description();
  const std::string kind = described.value("kind", std::string("none"));
  std::string why = fmt::format("tokenizer of kind {}", kind);
  if (kind == "bpe") {
    const auto text = described.at("tokenizer_json").get<std::string>();
    const data::Bpe bpe = data::parse_bpe(text, "tokenizer_json");
    if (bpe.splitter().expression() == data::kGpt2Pieces && bpe.specials().size() <= 1)
      return add_bpe(file, text, vocab);
    why = "pieces of another expression than GPT-2's, or several special tokens";
  }
  file.add("tokenizer.ggml.model", "none");
  notices.push_back(fmt::format("no tokenizer in the file ({}): the model runs on token ids", why));
}

}  // namespace

GgufExport export_gguf(FileSystem& fs, const Path& path, const Gpt& gpt, const data::TextCodec* codec,
                       io::Dtype dtype) {
  const ModelConfig& m = gpt.config();
  const GgufArchitecture& a = choose(m);
  GgufWriter file;
  GgufExport done{a.name, {}};
  add_shape(file, a, m, dtype);
  add_tokenizer(file, codec, m.vocab, done.notices);
  for (const TensorMap& map : a.tensors(m)) add_tensor(file, map, parameter(gpt, map.ours), dtype);
  if (!m.tied || a.needs_head) {
    TensorMaps head;
    head.matrix("output.weight", m.tied ? "embedding.token" : "head.weight", m.vocab, m.width);
    const TensorMap map = head.take().front();
    add_tensor(file, map, parameter(gpt, map.ours), dtype);
  }
  file.write(fs, path);
  if (m.mlp == "gelu-erf")
    done.notices.push_back(
        "llama.cpp computes GELU's tanh form for this architecture: logits differ in the fourth digit");
  return done;
}

}  // namespace loglog::formats
