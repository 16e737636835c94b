// loglog generate: text from a trained model.
#include <fmt/format.h>

#include <charconv>
#include <deque>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/items.hpp"
#include "base/json_text.hpp"
#include "cli/arguments.hpp"
#include "cli/cache_type.hpp"
#include "cli/clock.hpp"
#include "cli/int8_counts.hpp"
#include "cli/loaded_model.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "cli/verbs.hpp"
#include "infer/generate.hpp"
#include "infer/stop_text.hpp"
#include "kernels/table.hpp"

namespace loglog::cli {
namespace {

using infer::Token;
using Json = nlohmann::ordered_json;

struct Arguments {
  ModelArguments model;
  std::string cache;
  std::string prompt, prompt_file;
  std::vector<Token> tokens;
  std::string stop;
  std::uint64_t max_tokens = 0;
  std::uint64_t batch = 1;
  infer::Sampling sampling;
  std::uint64_t first_sample = 0;
  bool slide = false;
  bool json = false;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  loglog generate runs/tiny --prompt 'ROMEO:' --max-tokens 60 --temperature 0.8\n"
    "  loglog generate runs/tiny --prompt-file start.txt --batch 8 --seed 7 --json > samples.jsonl\n"
    "  loglog generate runs/world --tokens 3,1,4 --temperature 0\n"
    "  loglog generate runs/tiny --cache int8 --batch 64            about a quarter of the cache's memory\n"
    "The new text goes to standard output as it comes; of several samples one after the other. Sample i of a "
    "seed is the\n"
    "same in every batch. A stop signal ends the text where it is (exit 128 and the signal's number).";

// The command's input: what is continued, and how tokens are shown.
struct Prompt {
  std::vector<Token> tokens;
  std::string text;
  std::unique_ptr<data::TextCodec> codec;  // null: tokens are shown as numbers
};

// "1,2,3"
std::vector<Token> parse_tokens(std::string_view text) {
  std::vector<Token> tokens;
  for (const std::string_view word : items_of(text)) {
    const std::size_t first = std::min(word.find_first_not_of(' '), word.size());
    const char* const end = word.data() + word.size();
    std::int64_t number = -1;
    const auto parsed = std::from_chars(word.data() + first, end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end || number < 0 ||
        number >= static_cast<std::int64_t>(data::kMaxVocabulary))
      throw UsageError(fmt::format("--tokens: '{}' is no token", word));
    tokens.push_back(static_cast<Token>(number));
  }
  return tokens;
}

Prompt read_prompt(const Arguments& a, const ModelChoice& choice) {
  if (!a.tokens.empty()) {
    if (!a.stop.empty())
      throw UsageError("--stop TEXT and --tokens exclude each other: tokens are shown as numbers");
    return {a.tokens, {}, nullptr};
  }
  Prompt prompt;
  prompt.codec = choice.codec();
  if (prompt.codec == nullptr) {
    throw UsageError(
        fmt::format("nothing says how the tokens of '{}' stand for text: give --tokens 1,2,3", a.model.path));
  }
  prompt.text = a.prompt_file.empty() ? a.prompt : read_input(a.prompt_file);
  if (a.prompt_file.empty() && a.prompt.empty()) {
    // As if a document began.
    if (const auto end = prompt.codec->document_end())
      prompt.tokens = {*end};
    else
      prompt.text = "\n";
  }
  if (prompt.tokens.empty()) {
    try {
      prompt.tokens = prompt.codec->encode(prompt.text);
    } catch (const InputError& error) {
      if (!a.prompt_file.empty()) throw InputError(fmt::format("'{}': {}", a.prompt_file, error.what()));
      throw UsageError(fmt::format("--prompt: {}", error.what()));
    }
  }
  return prompt;
}

// Prints samples in their order: the first that is not finished as it comes, those behind it when it is their turn. Keeps those alone
// that are begun and not yet printed.
class Output {
 public:
  Output(const Arguments& a, const Prompt& prompt, std::size_t max_tokens, const quant::RunningModel& model)
      : a_(a), prompt_(prompt), max_tokens_(max_tokens), model_(model) {}

  // false ends the sample. The first tokens of samples come in the order of these.
  bool add(std::uint64_t number, Token token) {
    if (number == turn_ + samples_.size()) samples_.push_back({infer::StopText(a_.stop), {}, {}});
    Sample& s = samples_[number - turn_];
    s.tokens.push_back(token);
    ++count_;
    const std::string piece = shown(token, s.tokens.size() == 1);
    s.text += s.filter.add(piece);
    s.stopped = s.filter.found();
    s.done = s.stopped || s.tokens.size() == max_tokens_;
    if (s.done && !s.stopped) s.text += s.filter.rest();
    const bool goes_on = !s.done;
    show();  // and forget what is complete
    return goes_on;
  }
  std::size_t count() const { return count_; }

  // What was written when nothing more comes.
  void finish() {
    for (Sample& s : samples_) {
      if (!s.done) s.text += s.filter.rest();
      s.done = true;
    }
    show();
  }

 private:
  struct Sample {
    infer::StopText filter;
    std::string text;
    std::vector<Token> tokens;
    bool stopped = false;  // by the stop text
    bool done = false;
    std::size_t shown = 0;  // bytes of text
  };

  // A vocabulary that was padded has numbers that stand for nothing.
  std::string shown(Token token, bool first) const {
    if (prompt_.codec == nullptr) return fmt::format("{}{}", first ? "" : ",", token);
    return token < prompt_.codec->vocab_size() ? prompt_.codec->bytes_of(token) : "";
  }

  void show() {
    for (; !samples_.empty(); samples_.pop_front(), ++turn_) {
      Sample& s = samples_.front();
      if (a_.json) {
        if (!s.done) break;
        print_json(s);
        continue;
      }
      if (s.shown == 0 && a_.batch > 1 && !begun_) {
        fmt::print("--- sample {} ---\n", a_.first_sample + turn_);
        begun_ = true;
      }
      std::fwrite(s.text.data() + s.shown, 1, s.text.size() - s.shown, stdout);
      s.shown = s.text.size();
      if (!s.done) break;
      fmt::print("\n");
      begun_ = false;
    }
    if (std::fflush(stdout) != 0) throw std::system_error(errno, std::generic_category(), "standard output");
  }

  void print_json(const Sample& s) const {
    Json line = {{"sample", a_.first_sample + turn_}, {"seed", a_.sampling.seed}};
    if (prompt_.codec != nullptr) line["prompt"] = prompt_.text;
    line["prompt_tokens"] = prompt_.tokens;
    if (prompt_.codec != nullptr) line["text"] = s.text;
    line["tokens"] = s.tokens;
    line["ended"] = s.stopped ? "stop" : s.tokens.size() == max_tokens_ ? "length" : "signal";
    add_counts(line, model_.counts());  // of all passes so far
    fmt::print("{}\n", json_text(line));
  }

  const Arguments& a_;
  const Prompt& prompt_;
  std::size_t max_tokens_;
  const quant::RunningModel& model_;
  std::deque<Sample> samples_;
  std::uint64_t turn_ = 0;  // number of the first of them, which is shown as it comes
  bool begun_ = false;      // whether its heading stands
  std::size_t count_ = 0;
};

infer::GenerateOptions options_of(const Arguments& a, const ModelChoice& choice, const Prompt& prompt) {
  infer::GenerateOptions options{.sampling = a.sampling, .first_sample = a.first_sample};
  options.overflow = a.slide ? infer::Overflow::slide : infer::Overflow::refuse;
  options.max_tokens = static_cast<infer::Index>(a.max_tokens);
  if (a.max_tokens == 0)
    options.max_tokens =
        infer::room_behind(static_cast<infer::Index>(prompt.tokens.size()), choice.config().model.context);
  options.stop_requested = stop_requested;
  infer::require_room(choice.config().model, prompt.tokens, options);
  return options;
}

// The first token comes with the prompt; without others there is no rate of theirs.
void tell_speed(std::size_t prompt, double reading, std::size_t count, double generating) {
  talk("prompt of {} tokens read in {:.2f} s", prompt, reading);
  if (count > 1) {
    talk(", then {} tokens in {:.2f} s, {:.1f} tokens/s", count - 1, generating,
         static_cast<double>(count - 1) / std::max(generating, 1e-9));
  }
}

int generate_verb(const Arguments& a, const Environment& environment) {
  const infer::Sampler check(a.sampling);  // before anything is loaded
  const ModelChoice choice(a.model, environment);
  const Prompt prompt = read_prompt(a, choice);
  const infer::GenerateOptions options = options_of(a, choice, prompt);
  constexpr std::uint64_t kSlots = 64;  // more at a time are no faster
  const auto slots = static_cast<infer::Index>(std::min(a.batch, kSlots));
  const model::ModelConfig& config = choice.config().model;
  const kernels::KeyValueType cache = cache_type(a.cache, choice.type());
  const auto model =
      load_model(choice, infer::decoding_shape(config, slots), infer::Decoder::bytes(config, cache, slots));
  infer::Decoder decoder(model->gpt(), slots, cache);
  install_stop_signals();

  Output output(a, prompt, static_cast<std::size_t>(options.max_tokens), *model);
  const infer::Prompt shared{prompt.tokens, a.batch};
  kernels::ExecContext ctx = model->context();
  const double begin = now(CLOCK_MONOTONIC);
  double first = begin;  // when the prompt was read and a token was drawn
  const bool done =
      infer::generate(ctx, decoder, std::span(&shared, 1), options, [&](std::uint64_t sample, Token token) {
        if (output.count() == 0) first = now(CLOCK_MONOTONIC);
        return output.add(sample, token);
      });
  const double end = now(CLOCK_MONOTONIC);
  output.finish();
  tell_speed(prompt.tokens.size(), first - begin, output.count(), end - first);
  talk(" ({} threads, {}, cache {})\n", choice.threads(), choice.table().name, cache_name(cache));
  if (const std::string counts = counts_text(model->counts()); !counts.empty()) talk("{}\n", counts);
  return done ? static_cast<int>(Exit::done) : stop_exit_code();
}

}  // namespace

void add_generate(CLI::App& app, const Environment& environment, Action& run) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("generate", "text from a trained model");
  add_model_arguments(*verb, a->model);
  add_cache_option(*verb, a->cache);
  auto* prompt = verb->add_option("--prompt", a->prompt,
                                  "text to go on from; default: the beginning of a line or document");
  auto* file = verb->add_option("--prompt-file", a->prompt_file, "the same from a file")
                   ->excludes(prompt)
                   ->check(not_empty());
  verb->add_option_function<std::string>(
          "--tokens", [a](const std::string& text) { a->tokens = parse_tokens(text); },
          "the same as token numbers, 1,2,3; what follows is numbers too")
      ->excludes(prompt)
      ->excludes(file);
  verb->add_option("--max-tokens", a->max_tokens,
                   "tokens of each sample; default: what the context has room for")
      ->check(whole_between(1, 1'000'000'000));
  verb->add_option("--temperature", a->sampling.temperature, "0 takes the most probable token")
      ->check(number_between(0, 1e6))
      ->capture_default_str();
  verb->add_option("--top-k", a->sampling.top_k, "draw from the k most probable; 0: from all")
      ->check(whole_between(0, 1 << 24))
      ->capture_default_str();
  verb->add_option("--top-p", a->sampling.top_p, "draw from the fewest that have this probability together")
      ->check(number_between(1e-12, 1))
      ->capture_default_str();
  verb->add_option("--seed", a->sampling.seed, "of the draws")
      ->check(whole_between(0, UINT64_MAX))
      ->capture_default_str();
  verb->add_option("--batch", a->batch, "samples")->check(whole_between(1, 1'000'000))->capture_default_str();
  verb->add_option("--first-sample", a->first_sample,
                   "number of the first one: 5 with --batch 1 is the sixth of six")
      ->check(whole_between(0, 1'000'000'000));
  verb->add_option("--stop", a->stop, "end a sample in front of this text");
  verb->add_flag("--slide", a->slide, "go on when the context is full, from its second half");
  verb->add_flag("--json", a->json, "one JSON object per sample on standard output");
  verb->footer(kFooter);
  verb->callback(
      [a, &environment, &run] { run = [a, &environment] { return generate_verb(*a, environment); }; });
}

}  // namespace loglog::cli
