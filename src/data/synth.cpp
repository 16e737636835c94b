#include "data/synth.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "data/batcher.hpp"
#include "data/split.hpp"
#include "data/token_writer.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kTextStream = 10;    // apart from the streams that make the world's tables
constexpr std::uint64_t kSampleStream = 11;  // windows for block entropies without closed form
constexpr std::uint64_t kMostTargets = 1 << 20;
constexpr std::uint64_t kSampleWindows = 2000;

struct Average {
  double value;
  double error;
};

Average average(std::span<const double> x) {
  const double spread = x.size() < 2 ? 0 : std::sqrt(variance(x) / static_cast<double>(x.size()));
  return {mean(x), spread};
}

void give_up_when_asked(const SynthOptions& options) {
  if (options.stop_requested()) throw Error(Exit::checkpointed, "stopped by a signal, nothing was written");
}

// H(X_1..X_T) / T from stretches of fresh text. Stretches start T apart plus a random step, so that their
// phase is random.
Average sampled_block_entropy(const World& world, std::uint64_t length, const SynthOptions& options) {
  const Rng rng(options.seed, kSampleStream);
  const std::uint64_t stride = 2 * length + 64;
  std::vector<Token> text;
  world.generate(rng, stride * (kSampleWindows + 1), [&](Token token) { text.push_back(token); });
  const Rng steps(options.seed, kSampleStream + 1);
  std::vector<double> out(length), rates;
  for (std::uint64_t w = 0; w < kSampleWindows; ++w) {
    give_up_when_asked(options);
    const std::uint64_t begin = w * stride + steps.below(w, stride - length);
    world.log_probs(std::span(text).subspan(begin, length), out);
    rates.push_back(-mean(out));
  }
  return average(rates);
}

void write_text(FileSystem& fs, const World& world, const SynthOptions& options, const Path& out,
                nlohmann::json meta) {
  TokenWriter writer(fs, out, token_bytes_for(world.vocab_size()), options.stop_requested);
  writer.begin_source(options.world);
  const Token document_end = meta.value("document_end", Token{-1});
  std::uint64_t documents = 0;
  world.generate(Rng(options.seed, kTextStream), options.tokens, [&](Token token) {
    writer.append({&token, 1});
    documents += token == document_end;
  });
  writer.end_document(std::max<std::uint64_t>(1, documents));
  writer.finish(world.vocab_size(), std::move(meta));
}

// The text alone, from which the floors are measured: beside the target, so that a failure leaves the target as
// it was, and removed at the end of the scope.
class Draft {
 public:
  Draft(FileSystem& fs, const Path& out) : path(out.native() + ".draft"), fs_(fs) {}
  ~Draft() {
    try {
      fs_.remove(path);
    } catch (const IoError&) {  // as TokenWriter's spool
    }
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  const Path path;

 private:
  FileSystem& fs_;
};

// Loss of `world` itself on the windows of the default split's validation part, spread over all blocks: mean over
// targets of -ln p(x_t | x_0..x_{t-1}), as a model is judged.
ContextFloor measure_floor(const World& world, const TokenFile& file, std::uint64_t context,
                           const SynthOptions& options) {
  ContextFloor floor{context, 0, 0, 0, 0, 0};
  if (const auto exact = world.block_entropy(context)) {
    floor.block = *exact / static_cast<double>(context);
  } else {
    const Average sampled = sampled_block_entropy(world, context, options);
    floor.block = sampled.value;
    floor.block_error = sampled.error;
  }
  const SplitRanges split = make_split(file, "hashed", options.validation_share);
  const FixedSample sample(file, split.validation, static_cast<std::int64_t>(context),
                           std::max(kMostTargets, context));
  std::vector<Token> window(context + 1);
  std::vector<double> out(context + 1), losses;
  for (std::uint64_t i = 0; i < sample.windows(); ++i) {
    give_up_when_asked(options);
    file.read(sample.begin(i), window);
    world.log_probs(window, out);
    losses.push_back(-mean(std::span(out).subspan(1)));
  }
  const Average loss = average(losses);
  floor.validation_loss = loss.value;
  floor.validation_error = loss.error;
  floor.windows = sample.windows();
  return floor;
}

}  // namespace

nlohmann::json as_json(const EntropyFacts& facts) {
  auto floors = nlohmann::json::array();
  for (const ContextFloor& f : facts.floors) {
    floors.push_back({{"context", f.context},
                      {"block", f.block},
                      {"block_error", f.block_error},
                      {"validation_loss", f.validation_loss},
                      {"validation_error", f.validation_error},
                      {"windows", f.windows}});
  }
  return {{"unit", "nats/token"}, {"rate", facts.rate}, {"floors", std::move(floors)}};
}

void write_truth(FileSystem& fs, const World& world, const SynthOptions& options) {
  constexpr std::size_t kBuffer = std::size_t{1} << 20;
  write_atomically(fs, options.truth, [&](WritableFile& file) {
    std::string lines;
    const auto flush = [&] {
      give_up_when_asked(options);
      file.append(std::as_bytes(std::span(lines)));
      lines.clear();
    };
    world.tell_truth(Rng(options.seed, kTextStream), options.tokens, [&](const nlohmann::json& object) {
      lines += object.dump() + "\n";
      if (lines.size() >= kBuffer) flush();
    });
    flush();
  });
}

TokenFile synthesize(FileSystem& fs, const SynthOptions& options, const Path& out) {
  if (options.tokens == 0) throw UsageError("--tokens must be at least 1");
  check_target(fs, out);  // before the work
  const WorldKind& kind = find_world(options.world);
  const nlohmann::json parameters = resolve_parameters(kind, options.settings);
  const std::unique_ptr<World> world = kind.make(parameters, options.seed);
  if (!options.truth.empty() && !world->has_truth())
    throw UsageError(
        fmt::format("--truth: world '{}' has no facts, tasks or problems to tell", options.world));
  nlohmann::json meta = world->header();
  meta["world"] = {{"name", options.world}, {"seed", options.seed}, {"parameters", parameters}};
  meta["command"] = options.command;
  EntropyFacts facts{world->entropy_rate(), {}};
  if (world->knows_windows()) {
    const Draft draft(fs, out);
    write_text(fs, *world, options, draft.path, meta);
    const TokenFile file = TokenFile::open(draft.path);
    for (const std::uint64_t context : options.contexts) {
      facts.floors.push_back(measure_floor(*world, file, context, options));
    }
  }
  meta["entropy"] = as_json(facts);
  if (!options.truth.empty()) write_truth(fs, *world, options);
  write_text(fs, *world, options, out, std::move(meta));
  return TokenFile::open(out);
}

}  // namespace loglog::data
