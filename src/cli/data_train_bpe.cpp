// loglog data train-bpe: a byte-level BPE vocabulary from texts.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/data.hpp"
#include "cli/progress_line.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "data/bpe_files.hpp"
#include "data/bpe_train.hpp"
#include "data/json_lines.hpp"
#include "data/text_reader.hpp"

namespace loglog::cli {
namespace {

struct BpeVerb {
  std::vector<std::string> files;
  std::string out;
  data::Token vocab = 0;
  std::string field;  // of a JSON object per line; empty: plain text
  bool bare = false;
  bool json = false;
  bool terminal = false;
};

[[noreturn]] void stopped(const BpeVerb& verb) {
  throw Error(Exit::checkpointed, "stopped by a signal before '" + verb.out + "' was written");
}

// Reads the texts; returns their bytes.
class PieceCount {
 public:
  PieceCount(const BpeVerb& verb, data::BpeTrainer& trainer, ProgressLine& line)
      : verb_(verb), trainer_(trainer), line_(line) {}

  std::uint64_t run() {
    for (const std::string& file : verb_.files) {
      const auto reader = data::open_text(file);
      if (verb_.field.empty()) {
        read_plain(*reader);
      } else {
        data::for_each_json_line(*reader, file, [&](const data::JsonLine& line) {
          add(line.text(verb_.field));
          trainer_.finish_text();
        });
      }
    }
    if (bytes_ == 0) throw InputError(fmt::format("'{}' holds no text", fmt::join(verb_.files, "', '")));
    return bytes_;
  }

 private:
  void read_plain(data::TextReader& reader) {
    constexpr std::size_t kChunk = std::size_t{1} << 18;
    std::vector<char> buffer(kChunk);
    while (const std::size_t count = reader.read(buffer)) add({buffer.data(), count});
    trainer_.finish_text();
  }

  void add(std::string_view text) {
    if (stop_requested()) stopped(verb_);
    trainer_.add(text);
    bytes_ += text.size();
    line_.show([&] {
      return fmt::format("read {:.1f} MB, {} different pieces", 1e-6 * static_cast<double>(bytes_),
                         trainer_.different_pieces());
    });
  }

  const BpeVerb& verb_;
  data::BpeTrainer& trainer_;
  ProgressLine& line_;
  std::uint64_t bytes_ = 0;
};

int train_bpe(const BpeVerb& verb) {
  for (const std::string& file : verb.files) refuse_overwriting(verb.out, {file});
  check_writable(real_file_system(), verb.out);
  install_stop_signals();
  data::BpeTrainer trainer;
  std::optional<data::Bpe> bpe;
  std::uint64_t bytes = 0;
  {
    ProgressLine line(verb.terminal);
    bytes = PieceCount(verb, trainer, line).run();
    std::size_t merges = 0;
    const auto stop = [&] {
      line.show([&] { return fmt::format("merge {} of about {}", merges, verb.vocab - 256); });
      ++merges;
      return stop_requested();
    };
    const std::vector<std::string> specials(verb.bare ? 0 : 1, std::string(data::kEndOfText));
    bpe = trainer.train(verb.vocab, stop, specials);
  }
  if (!bpe) stopped(verb);
  if (bpe->vocab_size() < verb.vocab)
    talk("loglog: warning: {} tokens instead of {}: in this text no further pair occurs twice\n",
         bpe->vocab_size(), verb.vocab);
  write_atomically(real_file_system(), verb.out, data::to_tokenizer_json(*bpe));
  if (verb.json) {
    const nlohmann::json report = {{"path", verb.out},
                                   {"vocab_size", bpe->vocab_size()},
                                   {"merges", bpe->merges().size()},
                                   {"text_bytes", bytes},
                                   {"different_pieces", trainer.different_pieces()}};
    fmt::print("{}\n", json_text(report, 1));
  } else {
    fmt::print("{}\n  tokens      {} (256 bytes, {} merges{})\n  text        {} bytes, {} different pieces\n",
               verb.out, bpe->vocab_size(), bpe->merges().size(),
               verb.bare ? "" : fmt::format(", {}", data::kEndOfText), bytes, trainer.different_pieces());
  }
  return static_cast<int>(Exit::done);
}

}  // namespace

void add_data_train_bpe(CLI::App& data, const Environment& environment, Action& run) {
  CLI::App* verb = data.add_subcommand("train-bpe", "a byte-level BPE vocabulary from texts");
  const auto state = std::make_shared<BpeVerb>();
  state->terminal = environment.terminal;
  verb->add_option("FILE", state->files, "text files, plain or .gz/.xz/.zst")->required();
  verb->add_option("--vocab", state->vocab, "tokens, the 256 bytes and <|endoftext|> among them")
      ->required()
      ->check(whole_between(257, 65536));
  verb->add_option("-o,--out", state->out, "tokenizer.json to write, as Hugging Face's tokenizers read it")
      ->required()
      ->check(not_empty());
  verb->add_option("--field", state->field, "files are JSON lines; take the text from this field")
      ->check(not_empty());
  verb->add_flag("--bare", state->bare, "without the token <|endoftext|> that ends documents");
  verb->add_flag("--json", state->json, "report for programs");
  verb->footer(
      "Examples:\n"
      "  loglog data train-bpe corpus.txt.zst --vocab 4096 -o tokenizer.json\n"
      "  loglog data import corpus.txt.zst --tokenizer tokenizer.json -o corpus.tok");
  verb->callback([state, &run] { run = [state] { return train_bpe(*state); }; });
}

}  // namespace loglog::cli
