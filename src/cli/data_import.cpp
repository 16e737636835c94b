// loglog data import: text files to one token file.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/data.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "data/import.hpp"
#include "data/overlap.hpp"
#include "data/shards.hpp"
#include "data/split.hpp"
#include "data/text_reader.hpp"

namespace loglog::cli {
namespace {

constexpr double kValidationShare = 0.1;  // data.val_share's default, which the overlap is reported for

struct ImportVerb {
  std::vector<std::string> files;
  std::vector<std::string> named_sources;
  std::string out;
  bool json = false;
  std::string shards;                  // a format, when FILEs are token shards
  std::optional<std::uint64_t> vocab;  // of shards
  bool names_tokenizer = false;
  data::ImportOptions options;
};

void collect_sources(ImportVerb& verb) {
  for (const std::string& file : verb.files) verb.options.sources.push_back({data::source_name(file), file});
  for (const std::string& named : verb.named_sources) {
    const std::size_t equal = named.find('=');
    if (equal == std::string::npos || equal == 0 || equal + 1 == named.size()) {
      throw UsageError(fmt::format("--source '{}': expected NAME=FILE", named));
    }
    verb.options.sources.push_back({named.substr(0, equal), named.substr(equal + 1)});
  }
}

// Which options belong to texts, which to shards.
void check_kind(const ImportVerb& verb) {
  if (verb.shards.empty()) {
    if (verb.vocab) throw UsageError("--vocab belongs to --shards: a text's vocabulary is its tokenizer's");
    return;
  }
  if (!verb.options.field.empty() || !verb.options.prompt_field.empty() || verb.options.document_end)
    throw UsageError(
        "--field, --prompt-field and --document-end belong to texts, --shards are tokens already");
}

data::TokenFile import_sources(const ImportVerb& verb) {
  FileSystem& fs = real_file_system();
  const data::ImportOptions& o = verb.options;
  if (verb.shards.empty()) return data::import_text(fs, o, verb.out);
  const std::string tokenizer = verb.names_tokenizer ? o.tokenizer : "";
  return data::import_shards(
      fs, {verb.shards, o.sources, verb.vocab, tokenizer, o.command, o.stop_requested, o.accept}, verb.out);
}

void print_overlap(const data::Overlap& overlap, const data::SplitRanges& split) {
  fmt::print("  split       hashed: {:.2f}% of the tokens validate, in {} blocks (data.val_share {})\n",
             100 * split.validation_share, split.validation.size(), kValidationShare);
  fmt::print("  overlap     {:.2f}% of {} validation 10-word sequences also occur in training",
             100 * overlap.share(), overlap.examined);
  if (overlap.one_in > 1) fmt::print(" (a sample: one in {}, chosen by hash)", overlap.one_in);
  fmt::print("\n");
}

void warn_overlap(const data::Overlap& overlap) {
  if (overlap.share() <= data::kOverlapWarning) return;
  talk(
      "loglog: warning: {:.2f}% of the validation text was also trained on (limit {:.0f}%): the "
      "validation loss will look better than it is; remove repeated documents\n",
      100 * overlap.share(), 100 * data::kOverlapWarning);
}

// The default split, without which nobody could train on the file.
data::SplitRanges split_text(const data::TokenFile& file, const ImportVerb& verb) {
  try {
    return data::make_split(file, "hashed", kValidationShare);
  } catch (const InputError&) {  // names the temporary file
    std::vector<std::string> names;
    for (const data::TextSource& source : verb.options.sources) names.push_back(source.path.native());
    throw InputError(
        fmt::format("too little text, or the same again and again, in '{}': {} token{} cannot be split into "
                    "different blocks to train and to validate on; '{}' was not written",
                    fmt::join(names, "', '"), file.size(), file.size() == 1 ? "" : "s", verb.out));
  }
}

int import_files(ImportVerb verb) {
  check_kind(verb);
  collect_sources(verb);
  for (const data::TextSource& source : verb.options.sources) refuse_overwriting(verb.out, {source.path});
  const std::string& tokenizer = verb.options.tokenizer;
  if (tokenizer != "bytes" && tokenizer != "chars") refuse_overwriting(verb.out, {tokenizer});
  verb.options.on_replaced = [](const data::TextSource& source, std::uint64_t count) {
    talk("loglog: '{}': {} ill-formed UTF-8 sequences became U+FFFD\n", source.path.native(), count);
  };
  install_stop_signals();
  verb.options.stop_requested = stop_requested;
  data::SplitRanges split;
  data::Overlap overlap;
  verb.options.accept = [&](const data::TokenFile& file) {
    split = split_text(file, verb);
    overlap = data::ten_gram_overlap(file, split);
  };
  const data::TokenFile file = import_sources(verb);
  warn_overlap(overlap);
  if (verb.json) {
    nlohmann::json description = describe_as_json(file);
    description["overlap"] = {
        {"share", overlap.share()}, {"examined", overlap.examined}, {"one_in", overlap.one_in}};
    description["split"] = {{"validation_share", split.validation_share},
                            {"blocks", split.validation.size()}};
    fmt::print("{}\n", json_text(description, 1));
  } else {
    fmt::print("{}", describe_as_text(file));
    print_overlap(overlap, split);
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_data_import(CLI::App& data, const Environment& environment, Action& run) {
  CLI::App* verb = data.add_subcommand("import", "text files to one token file");
  const auto state = std::make_shared<ImportVerb>();
  state->options.command = environment.command_line;
  verb->add_option("FILE", state->files,
                   "text files, plain or .gz/.xz/.zst; each is a source named after its file");
  verb->add_option("--source", state->named_sources, "NAME=FILE: a source under a name of your own")
      ->allow_extra_args(false);
  verb->add_option("-o,--out", state->out, "token file to write")->required()->check(not_empty());
  CLI::Option* tokenizer =
      verb->add_option(
              "--tokenizer", state->options.tokenizer,
              "bytes; chars; a byte-level tokenizer.json, or a folder with one or with vocab.json and "
              "merges.txt; or a token file, whose tokenizer is taken")
          ->capture_default_str();
  verb->add_option(
          "--document-end", state->options.document_end,
          "number of the token that ends a document, in place of the tokenizer's own; of chars a code point")
      ->check(whole_between(0, INT32_MAX));
  verb->add_option("--invalid-utf8", state->options.invalid_utf8, "for chars: error, or replace by U+FFFD")
      ->capture_default_str();
  verb->add_option("--field", state->options.field, "files are JSON lines; take the text from this field")
      ->check(not_empty());
  verb->add_option("--prompt-field", state->options.prompt_field,
                   "with --field: the prompt before the text; the loss does not count it")
      ->check(not_empty());
  verb->add_option("--shards", state->shards,
                   "files are token shards: llmc (.bin with a header), nanogpt (uint16 alone)");
  verb->add_option("--vocab", state->vocab, "with --shards: how many different tokens there are")
      ->check(whole_between(1, data::kMaxVocabulary));
  verb->add_flag("--json", state->json, "report for programs");
  verb->footer(
      "Examples:\n"
      "  loglog data import gcide.txt.xz foldoc.txt.xz -o dictionaries.tok\n"
      "  loglog data import shakespeare.txt -o shakespeare.tok --tokenizer chars\n"
      "  loglog data import --source web=dump.jsonl.zst --field text -o web.tok\n"
      "  loglog data import corpus.txt --tokenizer tokenizer.json -o corpus.tok\n"
      "  loglog data import pairs.jsonl --prompt-field prompt --field completion --tokenizer corpus.tok -o "
      "tune.tok\n"
      "  loglog data import --shards llmc fineweb_val_000000.bin -o fineweb.tok\n"
      "  loglog data import --shards nanogpt train.bin --vocab 50257 -o shakespeare.tok");
  verb->callback([state, tokenizer, &run] {
    state->names_tokenizer = tokenizer->count() > 0;
    run = [state] { return import_files(*state); };
  });
}

}  // namespace loglog::cli
