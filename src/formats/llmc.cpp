#include "formats/llmc.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "formats/architecture.hpp"
#include "io/cursor.hpp"
#include "io/float_types.hpp"

namespace loglog::formats {
namespace {

using model::Gpt;

constexpr std::size_t kHeaderInts = 256;
constexpr std::int32_t kVersionF32 = 3, kVersionBf16 = 5;
constexpr Index kVocabPadding = 128;
constexpr float kEpsilon = 1e-5f;

struct Header {
  ModelConfig model;
  io::Dtype dtype = io::Dtype::f32;
  Index padded_vocab = 0;
};

Header read_header(io::Cursor& cursor) {
  const auto field = [&](std::string_view name, Index low, Index high) {
    const Index value = cursor.number<std::int32_t>(name);
    if (value < low || value > high)
      cursor.reject(name, fmt::format("{} is not from {} to {}", value, low, high));
    return value;
  };
  Header h;
  if (const auto magic = cursor.number<std::int32_t>("magic"); magic != kLlmcMagic)
    cursor.reject("magic", fmt::format("{}, a model of llm.c has {}", magic, kLlmcMagic));
  const auto version = cursor.number<std::int32_t>("version");
  if (version != kVersionF32 && version != kVersionBf16) {
    cursor.reject("version", fmt::format("{} is not read; {} (float32) and {} (bfloat16) are", version,
                                         kVersionF32, kVersionBf16));
  }
  h.dtype = version == kVersionF32 ? io::Dtype::f32 : io::Dtype::bf16;
  h.model.context = field("context", 1, kMostContext);
  h.model.vocab = field("vocabulary", 1, kMostVocab);
  h.model.layers = field("layers", 1, kMostLayers);
  h.model.heads = field("heads", 1, kMostHeads);
  h.model.width = field("width", 1, kMostWidth);
  if (h.model.width % h.model.heads != 0)
    cursor.reject("width", fmt::format("{} is no multiple of {} heads", h.model.width, h.model.heads));
  h.model.mlp_width = 4 * h.model.width;
  h.padded_vocab = field("padded vocabulary", h.model.vocab, kMostVocab + kVocabPadding);
  cursor.take(sizeof(std::int32_t) * (kHeaderInts - 8), "the rest of the header");
  return h;
}

// One tensor of the file: all layers of a kind follow each other, so each map is of one layer and in the order of the file.
std::vector<TensorMap> maps_in_order(const ModelConfig& m) {
  TensorMaps maps;
  const Index width = m.width, hidden = 4 * m.width;
  const auto of_layers = [&](const char* theirs, auto&& add) {
    for (Index i = 0; i < m.layers; ++i) add(fmt::format("{}[{}]", theirs, i), i);
  };
  const auto vectors = [&](const char* theirs, std::string_view ours, Index size) {
    of_layers(theirs,
              [&](std::string name, Index i) { maps.vector(std::move(name), block_name(i, ours), size); });
  };
  const auto matrices = [&](const char* theirs, std::string_view ours, Index in, Index out) {
    of_layers(theirs, [&](std::string name, Index i) {
      maps.matrix(std::move(name), block_name(i, ours), out, in).transposed = true;
    });
  };
  maps.matrix("wte", "embedding.token", m.vocab, width);
  maps.matrix("wpe", "embedding.position", m.context, width);
  vectors("ln1w", "attention.norm.gain", width);
  vectors("ln1b", "attention.norm.bias", width);
  matrices("qkvw", "attention.qkv.weight", width, 3 * width);
  vectors("qkvb", "attention.qkv.bias", 3 * width);
  matrices("attprojw", "attention.out.weight", width, width);
  vectors("attprojb", "attention.out.bias", width);
  vectors("ln2w", "mlp.norm.gain", width);
  vectors("ln2b", "mlp.norm.bias", width);
  matrices("fcw", "mlp.up.weight", width, hidden);
  vectors("fcb", "mlp.up.bias", hidden);
  matrices("fcprojw", "mlp.down.weight", hidden, width);
  vectors("fcprojb", "mlp.down.bias", width);
  maps.vector("lnfw", "head.norm.gain", width);
  maps.vector("lnfb", "head.norm.bias", width);
  return maps.take();
}

Index padding_elements(const Header& h) {
  return (h.padded_vocab - h.model.vocab) * h.model.width;
}

}  // namespace

ImportedModel import_llmc(const Path& path, const AcceptModel& accept) {
  const MappedFile file = map_input(path);
  io::Cursor cursor(file.bytes(), path.native());
  const Header h = read_header(cursor);
  const std::vector<TensorMap> maps = maps_in_order(h.model);
  // Sizes are bounded by the ranges of the header: no sum here overflows.
  Index elements = padding_elements(h);
  for (const TensorMap& map : maps) elements += map.elements();
  const std::uint64_t bytes = static_cast<std::uint64_t>(elements) * io::bytes_of(h.dtype);
  if (bytes != cursor.remaining()) {
    throw InputError(fmt::format("'{}': its header asks for {} bytes of tensors, the file has {}",
                                 path.native(), bytes, cursor.remaining()));
  }
  ImportedModel result;
  result.config = completed(h.model, path.native());
  if (accept) accept(result.config.model);
  result.gpt = make_holder(result.config.model);
  std::vector<float> buffer;
  for (const TensorMap& map : maps) {
    buffer.resize(static_cast<std::size_t>(map.elements()));
    io::widen(h.dtype, cursor.take(buffer.size() * io::bytes_of(h.dtype), map.theirs), buffer);
    to_ours(map, buffer, parameter(*result.gpt, map.ours));
    if (map.theirs == "wte")
      cursor.take(static_cast<std::uint64_t>(padding_elements(h)) * io::bytes_of(h.dtype), "padding");
  }
  file.check_size();
  result.gpt->values_changed();
  note_not_finite(result);
  result.notices.push_back("the file has no tokenizer: the model runs on token ids");
  return result;
}

namespace {

void require_gpt2(const ModelConfig& m) {
  Obstacles o = usual_obstacles(m);
  o.needs("model.norm", m.norm, "layernorm")
      .needs("model.norm_epsilon", m.norm_epsilon, kEpsilon)
      .needs("model.bias", m.bias, true)
      .needs("model.tied", m.tied, true)
      .needs("model.position", m.position, "learned")
      .needs("model.block", m.block, "serial")
      .needs("model.kv_heads", m.key_heads(), m.heads)
      .needs("model.mlp", m.mlp, "gelu")
      .needs("model.mlp_width", m.hidden(), 4 * m.width);
  if (!o.first().empty()) throw UsageError("the model has no form in llm.c: " + o.first());
}

}  // namespace

void export_llmc(FileSystem& fs, const Path& path, const Gpt& gpt, io::Dtype dtype) {
  const ModelConfig& m = gpt.config();
  require_gpt2(m);
  const Header h{m, dtype, kernels::round_up(m.vocab, kVocabPadding)};
  std::vector<std::int32_t> header(kHeaderInts, 0);
  const Index fields[] = {kLlmcMagic, dtype == io::Dtype::f32 ? kVersionF32 : kVersionBf16,
                          m.context,  m.vocab,
                          m.layers,   m.heads,
                          m.width,    h.padded_vocab};
  std::ranges::transform(fields, header.begin(), [](Index x) { return static_cast<std::int32_t>(x); });
  write_atomically(fs, path, [&](WritableFile& file) {
    const auto put = [&](std::span<const std::byte> bytes) { file.append(bytes); };
    put(std::as_bytes(std::span(header)));
    std::vector<float> values;
    for (const TensorMap& map : maps_in_order(m)) {
      values.resize(static_cast<std::size_t>(map.elements()));
      to_theirs(map, values, parameter(gpt, map.ours));
      if (map.theirs == "wte")
        values.resize(values.size() + static_cast<std::size_t>(padding_elements(h)), 0.0f);
      io::put_floats(dtype, values, put);
    }
  });
}

}  // namespace loglog::formats
