// loglog export: a model in the files of other programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/arguments.hpp"
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
  std::uint64_t shard_bytes = formats::HfOptions{}.shard_bytes;
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

Dtype dtype_of(const Arguments& a, std::string_view other) {
  if (a.dtype == "f32") return Dtype::f32;
  if (a.dtype == other) return other == "f16" ? Dtype::f16 : Dtype::bf16;
  throw UsageError(fmt::format("--dtype {}: --format {} takes f32 or {}", a.dtype, a.format, other));
}

Written write(const Arguments& a, const model::Gpt& gpt, const std::string& tokenizer) {
  FileSystem& fs = real_file_system();
  if (a.format == "hf") {
    const formats::HfExport done = formats::export_hf(
        fs, a.out, gpt, tokenizer,
        {.architecture = a.architecture, .dtype = dtype_of(a, "bf16"), .shard_bytes = a.shard_bytes});
    return {done.architecture, done.files, done.notices};
  }
  if (a.format == "llmc") {
    formats::export_llmc(fs, a.out, gpt, dtype_of(a, "bf16"));
    return {"gpt2", {}, {}};
  }
  const formats::GgufExport done = formats::export_gguf(fs, a.out, gpt, tokenizer, dtype_of(a, "f16"));
  return {done.architecture, {}, done.notices};
}

int export_verb(const Arguments& a) {
  if (a.format != "hf" && !a.architecture.empty()) throw UsageError("--architecture is for --format hf");
  if (a.format == "hf")
    require_new_folder(a.out);
  else
    check_writable(real_file_system(), a.out);
  const model::OpenedModel opened = model::open_model(a.model);
  model::Gpt gpt(opened.config.model, {1, 1});
  model::load_parameters(opened, gpt);
  const Written written = write(a, gpt, opened.tokenizer);
  for (const std::string& notice : written.notices) talk("loglog: note: {}\n", notice);
  if (a.json) {
    const nlohmann::ordered_json result = {{"out", a.out},
                                           {"format", a.format},
                                           {"architecture", written.architecture},
                                           {"step", opened.step},
                                           {"files", written.files}};
    fmt::print("{}\n", result.dump());
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
  verb->add_option("-o,--out", a->out, "hf: folder to make; llmc, gguf: file to write")->required();
  verb->add_option("--format", a->format, "hf (Hugging Face), llmc (llm.c) or gguf (llama.cpp)")
      ->required()
      ->check(CLI::IsMember({"hf", "llmc", "gguf"}));
  verb->add_option("--dtype", a->dtype, "f32, or bf16 (hf, llmc), or f16 (gguf)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  verb->add_option("--architecture", a->architecture,
                   "hf: model_type; default: the first that can say the model");
  verb->add_option("--shard-bytes", a->shard_bytes, "hf: most bytes of tensors in one file")
      ->check(whole_between(1, std::uint64_t{1} << 60))
      ->capture_default_str();
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->footer(kFooter);
  verb->callback([a, &run] { run = [a] { return export_verb(*a); }; });
}

}  // namespace loglog::cli
