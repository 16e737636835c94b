#include "formats/hf.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <map>
#include <set>

#include "base/check.hpp"
#include "base/error.hpp"
#include "data/bpe.hpp"
#include "data/bpe_files.hpp"
#include "formats/architecture.hpp"
#include "io/tensor_folder.hpp"
#include "kernels/block.hpp"

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
  ForeignTensors(const Path& folder, const Architecture& a) : folder_(folder), prefix_(a.prefix) {
    const auto has_prefix = [&](const auto& tensor) { return tensor.first.starts_with(prefix_); };
    if (std::ranges::any_of(folder_.tensors(), has_prefix)) prefix_.clear();
  }

  const io::TensorFolder::Tensor* find(const std::string& name) const { return folder_.find(there(name)); }
  // InputError naming the tensor, unless it is there with this shape.
  const io::TensorFolder::Tensor& get(const TensorMap& map) const {
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
  // InputError for a tensor that is neither one of `names`, which are there, nor a buffer.
  void refuse_others(const Architecture& a, const std::vector<std::string>& names) const {
    std::set<std::string, std::less<>> known;
    for (const std::string& name : names) known.insert(there(name));
    for (const auto& [name, tensor] : folder_.tensors()) {
      if (!known.contains(name) && !a.is_buffer(name)) {
        throw InputError(fmt::format("'{}': tensor '{}' is none of a {} model of this {}",
                                     tensor.file->path().native(), name, a.model_type, kConfig));
      }
    }
  }

 private:
  std::string there(const std::string& name) const {
    return prefix_.empty() || !name.starts_with(prefix_) ? name : name.substr(prefix_.size());
  }

  io::TensorFolder folder_;
  std::string prefix_;  // to be left away; empty where the files have it
};

// Parameters put together from the tensors of a folder.
class HfParameters final : public model::ParameterSource {
 public:
  HfParameters(const Path& folder, const Architecture& a, const ModelConfig& m)
      : tensors_(folder, a), maps_(tensor_maps(a, m)), tied_head_(m.tied ? a.head : "") {
    for (const TensorMap& map : maps_) tensors_.get(map);  // before memory is taken for what a file claims
    std::vector<std::string> names;
    for (const TensorMap& map : maps_) names.push_back(map.theirs);
    if (m.tied) names.push_back(tied_head_);
    tensors_.refuse_others(a, names);
    for (model::ParameterShape& p : model::parameter_shapes(m)) shapes_.emplace(p.name, std::move(p));
  }

  void read(std::string_view name, std::span<float> out) const override {
    const auto shape = shapes_.find(name);
    LOGLOG_CHECK(shape != shapes_.end() &&
                     out.size() == static_cast<std::size_t>(shape->second.rows * shape->second.cols),
                 "{} values of parameter {}", out.size(), name);
    const tensor::Parameter ours{out.data(), nullptr, shape->second.rows, shape->second.cols};
    for (const TensorMap& map : maps_) {
      if (map.ours != name) continue;
      if (map.is_alike(ours.rows, ours.cols)) {  // a table, that need not be there twice
        tensors_.get(map).read(out);
        continue;
      }
      const auto count = static_cast<std::size_t>(map.elements());
      const kernels::Block block(count * sizeof(float));  // on huge pages
      const std::span<float> theirs(block.as<float>(), count);
      tensors_.get(map).read(theirs);
      to_ours(map, theirs, ours);
    }
    if (name == kTokenEmbedding && !tied_head_.empty()) check_tied_head(out);
  }
  void each_rows(std::string_view name, Index rows, Index cols, Index most,
                 const model::TakeRows& take) const override {
    const auto map = std::ranges::find(maps_, name, &TensorMap::ours);
    const bool has_head = name == kTokenEmbedding && tensors_.find(tied_head_) != nullptr;
    if (map == maps_.end() || has_head || !map->is_alike(rows, cols))
      return ParameterSource::each_rows(name, rows, cols, most, take);
    const io::TensorFolder::Tensor& tensor = tensors_.get(*map);
    model::each_rows_of(*tensor.file, *tensor.entry, rows, cols, most, take);
  }

 private:
  // Some files of tied models hold the head all the same: it must be the embedding then.
  void check_tied_head(std::span<const float> token) const {
    const io::TensorFolder::Tensor* head = tensors_.find(tied_head_);
    if (head == nullptr) return;
    std::vector<float> values;
    if (head->entry->elements() == token.size()) {
      values.resize(token.size());
      head->read(values);
    }
    const auto same_bits = [](float x, float y) {
      return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
    };
    if (!std::ranges::equal(values, token, same_bits)) {
      throw InputError(fmt::format("'{}': tensor '{}' is not the embedding, as {} says of the head ({})",
                                   head->file->path().native(), tied_head_, kConfig, kTied));
    }
  }

  ForeignTensors tensors_;
  std::vector<TensorMap> maps_;
  std::string tied_head_;  // its name where a file may have one; empty where the head is a parameter
  std::map<std::string, model::ParameterShape, std::less<>> shapes_;
};

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

bool is_hf_folder(const Path& folder) {
  return input_exists(folder / kConfig) && !input_exists(folder / model::kConfigFile);
}

OpenedHf open_hf(const Path& folder) {
  const HfConfig config(folder / kConfig);
  const Architecture& a = find_architecture(config);
  const ModelConfig m = read_model(config, a);
  OpenedHf result;
  result.model.parameters = std::make_shared<HfParameters>(folder, a, m);
  result.model.tensors = folder;
  result.model.config = completed(m, config.path().native());
  result.model.tokenizer = read_tokenizer(folder, m.vocab, result.notices);
  if (!result.model.tokenizer.empty()) result.model.codec = folder;
  for (const std::string& key : config.unread())
    result.notices.push_back(
        fmt::format("key '{}' of '{}' is not known and was left aside", key, config.path().native()));
  return result;
}

ImportedModel import_hf(const Path& folder, const AcceptModel& accept) {
  OpenedHf opened = open_hf(folder);
  if (accept) accept(opened.model.config.model);
  ImportedModel result;
  result.config = std::move(opened.model.config);
  result.tokenizer = std::move(opened.model.tokenizer);
  result.gpt = make_holder(result.config.model);
  model::load_parameters(opened.model, *result.gpt);
  note_not_finite(result);
  std::ranges::move(opened.notices, std::back_inserter(result.notices));
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
