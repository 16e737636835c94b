// loglog export: a model in the files of other programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/stoppable_file_system.hpp"
#include "cli/arguments.hpp"
#include "cli/loaded_model.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "formats/gguf.hpp"
#include "formats/hf.hpp"
#include "formats/llmc.hpp"
#include "model/open_model.hpp"

namespace loglog::cli {
namespace {

using io::Dtype;

struct Arguments {
  std::string model;
  std::string out;
  std::string format;
  std::string dtype = "f32";
  std::string architecture;
  std::optional<std::uint64_t> shard_bytes;
  bool json = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog export runs/tiny -o tiny-hf --format hf                 config.json, model.safetensors, "
    "tokenizer.json\n"
    "  loglog export models/gpt2 -o gpt2.bin --format llmc --dtype bf16\n"
    "  loglog export models/pythia-14m -o pythia.gguf --format gguf --dtype f16\n"
    "MODEL is a run of `loglog train --out`, of which the newest checkpoint is taken, or a folder of `loglog "
    "import`.";

// What was written: for people and for programs.
struct Written {
  std::string architecture;
  std::vector<std::string> files, notices;
};

Dtype dtype_of(const Arguments& a) {
  const std::string_view other = a.format == "gguf" ? "f16" : "bf16";
  if (a.dtype == "f32") return Dtype::f32;
  if (a.dtype == other) return other == "f16" ? Dtype::f16 : Dtype::bf16;
  throw UsageError(fmt::format("--dtype {}: --format {} takes f32 or {}", a.dtype, a.format, other));
}

Written write(const Arguments& a, Dtype dtype, const model::Gpt& gpt, const data::TextCodec* codec) {
  install_stop_signals();  // reading leaves nothing behind, wherever a signal ends it
  StoppableFileSystem fs(real_file_system(), a.out, stop_requested);
  if (a.format == "hf") {
    formats::HfOptions options{.architecture = a.architecture, .dtype = dtype};
    options.shard_bytes = a.shard_bytes.value_or(options.shard_bytes);
    const formats::HfExport done = formats::export_hf(fs, a.out, gpt, codec, options);
    return {done.architecture, done.files, done.notices};
  }
  if (a.format == "llmc") {
    formats::export_llmc(fs, a.out, gpt, dtype);
    return {"gpt2", {}, {}};
  }
  const formats::GgufExport done = formats::export_gguf(fs, a.out, gpt, codec, dtype);
  return {done.architecture, {}, done.notices};
}

// Before anything is read.
void check_output(const Arguments& a) {
  if (a.format == "hf") return require_new_folder(a.out, a.model);
  if (!a.architecture.empty()) throw UsageError("--architecture is for --format hf");
  if (a.shard_bytes) throw UsageError("--shard-bytes is for --format hf");
  refuse_overwriting(a.out, {a.model});
  check_writable(real_file_system(), a.out);
}

int export_verb(const Arguments& a) {
  const Dtype dtype = dtype_of(a);
  check_output(a);
  require_float_model(a.model);
  const model::OpenedModel opened = model::open_model(a.model);
  const auto codec = codec_of(opened);
  require_room(opened.config.model);
  const auto gpt = formats::make_holder(opened.config.model);
  model::load_parameters(opened, *gpt);
  const Written written = write(a, dtype, *gpt, codec.get());
  for (const std::string& notice : written.notices) talk("loglog: note: {}\n", notice);
  if (a.json) {
    const nlohmann::ordered_json result = {{"out", a.out},
                                           {"format", a.format},
                                           {"architecture", written.architecture},
                                           {"step", opened.step},
                                           {"files", written.files}};
    fmt::print("{}\n", json_text(result));
  } else {
    fmt::print("{}: {}{}{}\n", a.out, written.architecture, written.files.empty() ? "" : ": ",
               fmt::join(written.files, ", "));
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_export(CLI::App& app, const Environment&, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("export", "write a model for other programs");
  verb->add_option("model", a->model, "run folder or model folder")->required();
  verb->add_option("-o,--out", a->out, "hf: folder to make; llmc, gguf: file to write")
      ->required()
      ->check(not_empty());
  verb->add_option("--format", a->format, "hf (Hugging Face), llmc (llm.c) or gguf (llama.cpp)")
      ->required()
      ->check(CLI::IsMember({"hf", "llmc", "gguf"}));
  verb->add_option("--dtype", a->dtype, "f32, or bf16 (hf, llmc), or f16 (gguf)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  verb->add_option("--architecture", a->architecture,
                   "hf: model_type; default: the first that can say the model");
  verb->add_option(
          "--shard-bytes", a->shard_bytes,
          fmt::format("hf: most bytes of tensors in one file; default: {}", formats::HfOptions{}.shard_bytes))
      ->check(whole_between(1, std::uint64_t{1} << 60));
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->footer(kFooter);
  verb->callback([a, &run] { run = [a] { return export_verb(*a); }; });
}

}  // namespace loglog::cli
