// loglog import: a model of another program, as a folder that the other verbs open.
#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/stoppable_file_system.hpp"
#include "cli/arguments.hpp"
#include "cli/loaded_model.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "formats/hf.hpp"
#include "formats/llmc.hpp"
#include "model/count.hpp"
#include "model/open_model.hpp"

namespace loglog::cli {
namespace {

struct Arguments {
  std::string source;
  std::string out;
  bool json = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog import pythia-14m -o models/pythia-14m        a folder with config.json and safetensors\n"
    "  loglog import gpt2_124M.bin -o models/gpt2           a checkpoint of llm.c, version 3 or 5\n"
    "  loglog generate models/gpt2 --prompt 'Once'\n"
    "Architectures: gpt2, gpt_neox, opt, llama, mistral, qwen2. Pickles and GGUF are not read.";

// Which reader a file is for, by its first bytes.
formats::ImportedModel import_file(const Path& path) {
  const MappedFile file = map_input(path);
  const auto begins_with = [&](const void* bytes, std::size_t count) {
    return file.bytes().size() >= count && std::memcmp(file.bytes().data(), bytes, count) == 0;
  };
  if (begins_with("GGUF", 4))
    throw InputError(
        fmt::format("'{}' is GGUF, which is written only: import what it was made from", path.native()));
  if (begins_with("PK\x03\x04", 4) || begins_with("\x80\x02", 2)) {
    throw InputError(fmt::format(
        "'{}' is a pickle of PyTorch, which may run code and is never read: load it in Python and "
        "save safetensors with config.json",
        path.native()));
  }
  if (path.extension() == ".safetensors") {
    throw InputError(fmt::format(
        "'{}' does not say what model it is: name the folder that has its config.json too", path.native()));
  }
  return formats::import_llmc(path, require_room);
}

int import_verb(const Arguments& a) {
  const Path source = a.source, out = a.out;
  if (!input_exists(source)) throw InputError(fmt::format("there is no '{}'", source.native()));
  require_new_folder(out);
  const formats::ImportedModel model =
      std::filesystem::is_directory(source) ? formats::import_hf(source, require_room) : import_file(source);
  install_stop_signals();  // reading leaves nothing behind, wherever a signal ends it
  StoppableFileSystem fs(real_file_system(), out, stop_requested);
  model::write_model_folder(fs, out, model.config, *model.gpt, model.tokenizer);
  for (const std::string& notice : model.notices) talk("loglog: note: {}\n", notice);
  const model::ModelConfig& m = model.config.model;
  const double n_total = model::count_parameters(m).n_total;
  if (a.json) {
    nlohmann::ordered_json result = {
        {"model", out.native()}, {"n_total", n_total}, {"tokenizer", !model.tokenizer.empty()}};
    result["config"] = nlohmann::ordered_json::parse(model::to_json(model.config))["model"];
    fmt::print("{}\n", json_text(result));
  } else {
    fmt::print("{}: {:.0f} parameters, {} layers of width {}, context {}, vocabulary {}\n", out.native(),
               n_total, m.layers, m.width, m.context, m.vocab);
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_import(CLI::App& app, const Environment&, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("import", "make a model folder of another program's model");
  verb->add_option("source", a->source, "folder of a Hugging Face model, or a checkpoint of llm.c")
      ->required();
  verb->add_option("-o,--out", a->out, "folder to make")->required()->check(not_empty());
  verb->add_flag("--json", a->json, "result as JSON on stdout");
  verb->footer(kFooter);
  verb->callback([a, &run] { run = [a] { return import_verb(*a); }; });
}

}  // namespace loglog::cli
