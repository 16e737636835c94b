#include "cli/loaded_model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/processors.hpp"
#include "cli/talk.hpp"
#include "formats/hf.hpp"
#include "formats/imported.hpp"
#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "kernels/threads.hpp"
#include "quant/model_file.hpp"
#include "train/choose_table.hpp"
#include "train/memory.hpp"

namespace loglog::cli {
namespace {

model::FloatType type_of(const std::string& precision, const AnyModel& any) {
  // What a quantised model does not quantise is float32, or its loss would not be the quantisation's alone.
  if (precision.empty())
    return any.weights != nullptr ? model::FloatType::float32 : model::product_type(any.model.config.train);
  return precision == "bf16" ? model::FloatType::bfloat16 : model::FloatType::float32;
}

bool is_here(std::string_view row) {
  return row.empty() || row == "auto" ||
         std::ranges::any_of(kernels::isa_rows(),
                             [&](const kernels::IsaRow& r) { return r.supported && r.name == row; });
}

// A row that --isa names has to be here; without the one that trained the model it runs on another.
const kernels::KernelTable& row_of(const Environment& environment, const model::OpenedModel& opened) {
  const std::string& configured = opened.config.train.isa;
  const bool is_asked_for = !environment.isa.empty() && environment.isa != "auto";
  if (is_asked_for || (is_here(configured) && is_here(opened.isa)))
    return train::choose_table(environment.isa, configured, opened.isa);
  const kernels::KernelTable& best = kernels::select_table("auto");
  talk(
      "loglog: note: the model was trained with isa '{}', which is not here; '{}' differs in the last bits\n",
      is_here(configured) ? opened.isa : configured, best.name);
  return best;
}

double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

int usable_threads_of(int wanted) {
  return kernels::usable_threads(wanted > 0 ? wanted : static_cast<int>(usable_processors().size()));
}

std::unique_ptr<data::TextCodec> codec_of(const model::OpenedModel& model) {
  const model::Index vocab = model.config.model.vocab;
  if (!model.codec.empty()) return data::parse_codec(model.tokenizer, model.codec, vocab);
  // Runs of before did not keep it; their token file may still be there.
  const std::string& data = model.config.data.path;
  if (data.empty() || !input_exists(data)) return nullptr;
  auto codec = data::codec_of(data::TokenFile::open(data));
  if (codec != nullptr && codec->vocab_size() > vocab)
    throw InputError(fmt::format("'{}' has {} tokens, the model has {}", data, codec->vocab_size(), vocab));
  return codec;
}

void require_codec(const model::OpenedModel& model) {
  if (!model.codec.empty()) codec_of(model);
}

void require_room(const model::ModelConfig& m) {
  const std::size_t needed = formats::holder_bytes(m), available = train::available_memory();
  if (needed > available)
    throw RefusedError(fmt::format("this model needs {:.1f} MiB of memory and {:.1f} MiB are available",
                                   mib(needed), mib(available)));
}

void add_model_arguments(CLI::App& verb, ModelArguments& arguments) {
  verb.add_option("MODEL", arguments.path, "run folder of `loglog train --out`, or model folder")->required();
  verb.add_option("--precision", arguments.precision, "f32 or bf16; default: as the model was trained")
      ->check(CLI::IsMember({"f32", "bf16"}));
  verb.add_flag(
      "--quantized{llm-int8}", arguments.quantized,
      "quantise as it is loaded, --quantized=SCHEME by another than llm-int8; `quantize --list` has all");
  verb.add_option("--threads", arguments.threads, "threads; default: one per usable core")
      ->check(CLI::Range(1, 4096));
}

AnyModel open_any_model(const Path& path) {
  AnyModel any;
  if (quant::is_quantized_folder(path)) {
    quant::QuantizedModel quantized = quant::open_quantized_model(path);
    any.model = std::move(quantized.model);
    any.weights = std::move(quantized.weights);
  } else if (formats::is_hf_folder(path)) {
    formats::OpenedHf hf = formats::open_hf(path);
    any.model = std::move(hf.model);
    any.notices = std::move(hf.notices);
  } else {
    any.model = model::open_model(path);
  }
  return any;
}

void refuse_quantized(const Path& path, const std::string& scheme) {
  throw UsageError(
      fmt::format("'{}' is quantised, by {}: name the model that it was made from", path.native(), scheme));
}

void require_float_model(const Path& path) {
  if (quant::is_quantized_folder(path)) refuse_quantized(path, quant::scheme_of_folder(path));
  if (formats::is_hf_folder(path))
    throw UsageError(fmt::format(
        "'{0}' is a folder of Hugging Face: `loglog import '{0}' -o MODEL` makes a model of it first",
        path.native()));
}

namespace {

// With what --quantized asks for.
AnyModel open_as_asked(const ModelArguments& arguments) {
  AnyModel any = open_any_model(arguments.path);
  for (const std::string& notice : any.notices) talk("loglog: note: {}\n", notice);
  if (arguments.quantized.empty()) return any;
  const quant::Scheme& scheme = quant::find_scheme(arguments.quantized);
  if (any.weights != nullptr) {
    const std::string& own = any.weights->plan().scheme.name;
    if (own == scheme.name) return any;
    throw UsageError(
        fmt::format("'{}' is quantised already, by {}: --quantized={} needs the model that it was made from",
                    arguments.path, own, scheme.name));
  }
  if (scheme.migration > 0)
    throw UsageError(fmt::format(
        "--quantized={}: this scheme is calibrated with data; `loglog quantize --calibrate F.tok` does it",
        scheme.name));
  any.weights = std::make_shared<quant::WeightsOfModel>(any.model, quant::Plan{scheme}, quant::Calibrated{});
  return any;
}

}  // namespace

ModelChoice::ModelChoice(const ModelArguments& arguments, const Environment& environment)
    : any_(open_as_asked(arguments)),
      table_(row_of(environment, any_.model)),
      type_(type_of(arguments.precision, any_)),
      threads_(usable_threads_of(arguments.threads)) {}

ModelChoice ModelChoice::of(model::OpenedModel other) const {
  ModelChoice choice(*this);
  choice.any_.model = std::move(other);
  if (weights() != nullptr)
    choice.any_.weights =
        std::make_shared<quant::WeightsOfModel>(choice.any_.model, weights()->plan(), quant::Calibrated{});
  return choice;
}

std::unique_ptr<quant::RunningModel> load_model(const ModelChoice& choice, model::BatchShape passes,
                                                std::size_t cache_bytes) {
  return load_model(choice, choice.weights(), passes, cache_bytes);
}

std::unique_ptr<quant::RunningModel> load_model(const ModelChoice& choice, const quant::ModelForm* form,
                                                model::BatchShape passes, std::size_t cache_bytes,
                                                MemoryLine line) {
  const model::MemoryPlan plan =
      quant::RunningModel::plan(choice.setting(), choice.config().model, form, passes);
  const std::size_t total = plan.total() + cache_bytes, available = train::available_memory();
  const std::string text = fmt::format(
      "memory (of {:.0f} MiB available): {:.1f} MiB: parameters {:.1f}, packed {:.1f}, cache {:.1f}, passes "
      "{:.1f}\n",
      mib(available), mib(total), mib(plan.parameters + plan.frozen), mib(plan.packed), mib(cache_bytes),
      mib(plan.activations + plan.scratch));
  if (total > available)
    throw RefusedError(
        fmt::format("not enough memory for this model; fewer sequences at a time take less\n{}", text));
  if (line == MemoryLine::told) talk("{}", text);
  return std::make_unique<quant::RunningModel>(choice.setting(), choice.opened(), form, passes);
}

}  // namespace loglog::cli
