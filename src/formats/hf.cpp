#include "formats/hf.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <set>

#include "base/error.hpp"
#include "data/bpe.hpp"
#include "data/bpe_files.hpp"
#include "formats/architecture.hpp"
#include "io/tensor_folder.hpp"

namespace loglog::formats {
namespace {

using model::Gpt;

constexpr const char* kConfig = "config.json";
constexpr const char* kTied = "tie_word_embeddings";
constexpr std::string_view kTokenEmbedding = "embedding.token";

const Architecture& find_architecture(const HfConfig& config) {
  const std::string type = config.text("model_type");
  std::vector<std::string_view> known;
  for (const Architecture* a : architectures()) {
    if (a->model_type == type) return *a;
    known.push_back(a->model_type);
  }
  config.refuse("model_type", fmt::format("'{}' is not covered; known: {}", type, fmt::join(known, ", ")));
}

ModelConfig read_model(const HfConfig& config, const Architecture& a) {
  config.require_absent("quantization_config", "quantised weights");
  ModelConfig m;
  a.read(config, m);
  m.tied = config.flag_or(kTied, a.usually_tied);
  if (m.width % m.heads != 0) {
    config.refuse(config.has("n_head") ? "n_head" : "num_attention_heads",
                  fmt::format("{} heads do not divide a width of {}", m.heads, m.width));
  }
  return m;
}

// The tensors of a folder under the names of the model with its head: files of the bare model lack the prefix.
class ForeignTensors {
 public:
  ForeignTensors(const io::TensorFolder& folder, const Architecture& a) : folder_(folder), prefix_(a.prefix) {
    const auto has_prefix = [&](const auto& tensor) { return tensor.first.starts_with(prefix_); };
    if (std::ranges::any_of(folder.tensors(), has_prefix)) prefix_.clear();
  }

  const io::TensorFolder::Tensor* find(const std::string& name) {
    const std::string there =
        prefix_.empty() || !name.starts_with(prefix_) ? name : name.substr(prefix_.size());
    used_.insert(there);
    return folder_.find(there);
  }
  // InputError naming the tensor, unless it is there with this shape.
  const io::TensorFolder::Tensor& get(const TensorMap& map) {
    const io::TensorFolder::Tensor* tensor = find(map.theirs);
    if (tensor == nullptr)
      throw InputError(fmt::format("'{}': tensor '{}' is missing", folder_.path().native(), map.theirs));
    if (tensor->entry->shape != map.shape) {
      throw InputError(fmt::format("'{}': tensor '{}' is {}, {} asks for [{}]", tensor->file->path().native(),
                                   tensor->entry->name, tensor->entry->shape_text(), kConfig,
                                   fmt::join(map.shape, ",")));
    }
    return *tensor;
  }
  void refuse_others(const Architecture& a) const {
    for (const auto& [name, tensor] : folder_.tensors()) {
      if (!used_.contains(name) && !a.is_buffer(name)) {
        throw InputError(fmt::format("'{}': tensor '{}' is none of a {} model of this {}",
                                     tensor.file->path().native(), name, a.model_type, kConfig));
      }
    }
  }

 private:
  const io::TensorFolder& folder_;
  std::string prefix_;  // to be left away; empty where the files have it
  std::set<std::string, std::less<>> used_;
};

// Some files of tied models hold the head all the same: it must be the embedding then.
void check_tied_head(ForeignTensors& tensors, const Architecture& a, const Gpt& gpt) {
  const io::TensorFolder::Tensor* head = tensors.find(std::string(a.head));
  if (head == nullptr) return;
  const tensor::Parameter& token = parameter(gpt, kTokenEmbedding);
  std::vector<float> values;
  if (head->entry->elements() == static_cast<std::uint64_t>(token.size())) {
    values.resize(static_cast<std::size_t>(token.size()));
    head->read(values);
  }
  const auto same_bits = [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  };
  if (!std::equal(values.begin(), values.end(), token.value, token.value + token.size(), same_bits)) {
    throw InputError(fmt::format("'{}': tensor '{}' is not the embedding, as {} says of the head ({})",
                                 head->file->path().native(), a.head, kConfig, kTied));
  }
}

// JSON as in a token file's header, of a vocabulary that the folder has in a form that is read.
std::string read_tokenizer(const Path& folder, Index vocab, std::vector<std::string>& notices) {
  try {
    if (!input_exists(folder / "tokenizer.json") && !input_exists(folder / "vocab.json")) {
      notices.push_back("no tokenizer in the folder: the model runs on token ids");
      return "";
    }
    data::Bpe bpe = data::read_bpe(folder);
    if (bpe.vocab_size() > vocab)
      throw InputError(fmt::format("{} tokens, the model has {}", bpe.vocab_size(), vocab));
    return data::make_bpe_codec(std::move(bpe))->description().dump();
  } catch (const InputError& error) {
    notices.push_back(fmt::format("tokenizer left out, the model runs on token ids: {}", error.what()));
    return "";
  }
}

}  // namespace

ImportedModel import_hf(const Path& folder, const AcceptModel& accept) {
  const HfConfig config(folder / kConfig);
  const Architecture& a = find_architecture(config);
  const ModelConfig m = read_model(config, a);
  const io::TensorFolder files(folder);
  ForeignTensors tensors(files, a);
  const std::vector<TensorMap> maps = tensor_maps(a, m);
  for (const TensorMap& map : maps) tensors.get(map);  // before memory is taken for what a file claims

  ImportedModel result;
  result.config = completed(m, config.path().native());
  if (accept) accept(result.config.model);
  result.gpt = make_holder(result.config.model);
  std::vector<float> buffer;
  for (const TensorMap& map : maps) {
    buffer.resize(static_cast<std::size_t>(map.elements()));
    tensors.get(map).read(buffer);
    to_ours(map, buffer, parameter(*result.gpt, map.ours));
  }
  result.gpt->values_changed();
  if (m.tied) check_tied_head(tensors, a, *result.gpt);
  tensors.refuse_others(a);
  note_not_finite(result);
  result.tokenizer = read_tokenizer(folder, m.vocab, result.notices);
  for (const std::string& key : config.unread())
    result.notices.push_back(
        fmt::format("key '{}' of '{}' is not known and was left aside", key, config.path().native()));
  return result;
}

namespace {

const Architecture& choose_architecture(const ModelConfig& m, const std::string& wanted) {
  std::string reasons;
  std::vector<std::string_view> known;
  for (const Architecture* a : architectures()) {
    known.push_back(a->model_type);
    if (!wanted.empty() && a->model_type != wanted) continue;
    const std::string obstacle = a->obstacle(m);
    if (obstacle.empty()) return *a;
    reasons += fmt::format("\n  {}: {}", a->model_type, obstacle);
  }
  if (reasons.empty()) throw_unknown_name("architecture", wanted, known);
  throw UsageError(
      fmt::format("the model has no form in {}:{}",
                  wanted.empty() ? "any architecture of Hugging Face that is known here" : wanted, reasons));
}

std::string config_text(const Architecture& a, const ModelConfig& m, io::Dtype dtype) {
  Json config;
  config["architectures"] = {a.class_name};
  config["model_type"] = a.model_type;
  a.write(m, config);
  config[kTied] = m.tied;
  config["torch_dtype"] = dtype == io::Dtype::bf16 ? "bfloat16" : "float32";
  return config.dump(2) + "\n";
}

void write_tokenizer(FileSystem& fs, const Path& folder, const data::TextCodec* codec, HfExport& done) {
  const nlohmann::json described = codec == nullptr ? nlohmann::json::object() : codec->description();
  const std::string kind = described.value("kind", std::string("none"));
  if (kind != "bpe") {
    done.notices.push_back(
        fmt::format("tokenizer of kind {}: it has no form there, the model runs on token ids", kind));
    return;
  }
  write_atomically(fs, folder / "tokenizer.json", described.at("tokenizer_json").get<std::string>());
  done.files.emplace_back("tokenizer.json");
}

}  // namespace

HfExport export_hf(FileSystem& fs, const Path& folder, const Gpt& gpt, const data::TextCodec* codec,
                   const HfOptions& options) {
  const ModelConfig& m = gpt.config();
  const Architecture& a = choose_architecture(m, options.architecture);
  std::vector<io::TensorValues> tensors;
  for (const TensorMap& map : tensor_maps(a, m)) {
    const tensor::Parameter& ours = parameter(gpt, map.ours);
    tensors.push_back({.name = map.theirs, .shape = map.shape, .fill = [map, ours](std::span<float> theirs) {
                         to_theirs(map, theirs, ours);
                       }});
  }
  HfExport done{std::string(a.model_type), {}, {}};
  write_folder_atomically(fs, folder, [&](const Path& made) {
    // `transformers` reads only files whose metadata name a framework.
    done.files =
        io::write_tensor_folder(fs, made, tensors, {{"format", "pt"}}, options.dtype, options.shard_bytes);
    write_tokenizer(fs, made, codec, done);
    write_atomically(fs, made / kConfig, config_text(a, m, options.dtype));
    done.files.emplace_back(kConfig);
  });
  return done;
}

}  // namespace loglog::formats
