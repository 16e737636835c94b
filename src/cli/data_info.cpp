// loglog data info: what a token file holds.
#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/data.hpp"

namespace loglog::cli {
namespace {

struct InfoOptions {
  std::string path;
  bool json = false;
};

int print_info(const InfoOptions& options) {
  const data::TokenFile file = data::TokenFile::open(options.path);
  if (options.json) {
    fmt::print("{}\n", json_text(describe_as_json(file), 1));
  } else {
    fmt::print("{}", describe_as_text(file));
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

nlohmann::json describe_as_json(const data::TokenFile& file) {
  nlohmann::json description = file.meta();
  description["path"] = file.path().native();
  description["tokens"] = file.size();
  description["vocab_size"] = file.vocab_size();
  description["bytes_on_disk_per_token"] = file.token_bytes();
  description["text_bytes_per_token"] = file.bytes_per_token();
  description["checksum"] = file.checksum_text();
  if (file.has_mask()) description["counted_tokens"] = file.counted_tokens();
  return description;
}

std::string describe_as_text(const data::TokenFile& file) {
  const nlohmann::json& meta = file.meta();
  const auto tokenizer =
      meta.value("tokenizer", nlohmann::json::object()).value("kind", std::string("unknown"));
  std::string text =
      fmt::format("{}\n  tokens      {}\n  vocabulary  {} ({})\n  checksum    {}\n", file.path().native(),
                  file.size(), file.vocab_size(), tokenizer, file.checksum_text());
  if (file.has_mask())
    text += fmt::format("  mask        {} tokens count as targets\n", file.counted_tokens());
  if (file.bytes_per_token() > 0)
    text += fmt::format("  text        {:.4f} bytes per token\n", file.bytes_per_token());
  for (const data::Source& source : file.sources()) {
    text += fmt::format("  source      {:<20} {:>13} tokens  {:>8} document{}\n", source.name,
                        source.end - source.begin, source.documents, source.documents == 1 ? "" : "s");
  }
  if (const auto world = meta.find("world"); world != meta.end()) {
    text += fmt::format("  world       {}\n", world->dump());
  }
  if (const auto entropy = meta.find("entropy"); entropy != meta.end()) {
    text += fmt::format("  entropy     {}\n", entropy->dump());
  }
  return text;
}

void add_data_info(CLI::App& data, const Environment&, Action& run) {
  CLI::App* verb = data.add_subcommand("info", "what a token file holds; checks it completely");
  const auto options = std::make_shared<InfoOptions>();
  verb->add_option("FILE", options->path, "token file")->required();
  verb->add_flag("--json", options->json, "for programs");
  verb->footer("Example:\n  loglog data info corpus.tok --json | jq .sources");
  verb->callback([options, &run] { run = [options] { return print_info(*options); }; });
}

}  // namespace loglog::cli
