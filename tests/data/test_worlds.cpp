#include <cmath>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "data/synth.hpp"
#include "data/worlds/contexts.hpp"
#include "data/worlds/grammar.hpp"
#include "data/worlds/markov.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "world_checks.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

// S -> s A;  A -> a | b A | c A A z: every kind of climbing, with left, right and centre recursion.
Grammar small_grammar() {
  return {{{0, 1.0, {1}}}, {{1, 0.6, {}}, {2, 0.25, {1}}, {3, 0.15, {1, 1, 2}}}, {{4, 1.0, {}}}};
}

}  // namespace

TEST_CASE("markov: the entropy rate of a two-state chain is the textbook's") {
  // p(1|0) = 0.1, p(0|1) = 0.4: stationary 0.8, 0.2; h = 0.8 H(0.1) + 0.2 H(0.4).
  const MarkovWorld world(2, 1, {0.9, 0.1, 0.4, 0.6});
  const auto h = [](double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); };
  REQUIRE(world.entropy_rate() == Approx(0.8 * h(0.1) + 0.2 * h(0.4)).epsilon(1e-12));
  REQUIRE(*world.block_entropy(1) == Approx(h(0.2)).epsilon(1e-12));
  // A periodic chain has no entropy and still a stationary distribution.
  const MarkovWorld flip(2, 1, {0.0, 1.0, 1.0, 0.0});
  REQUIRE(flip.entropy_rate() == 0);
  REQUIRE(*flip.block_entropy(5) == Approx(std::log(2.0)));
}

TEST_CASE("markov: block entropies by brute force") {
  const MarkovWorld world(3, 2, 0.5, 4);
  for (std::size_t t = 1; t <= 6; ++t)
    REQUIRE(brute_block_entropy(world, t) == Approx(*world.block_entropy(t)).epsilon(1e-10));
  REQUIRE(*world.block_entropy(9) - *world.block_entropy(8) == Approx(world.entropy_rate()).epsilon(1e-12));
  check_frequencies(world);
}

TEST_CASE("contexts: block entropies by brute force") {
  const ContextsWorld world({4, 2, 2, 0.5}, 1);
  REQUIRE(world.vocab_size() == 6);
  const auto p = zipf(4, 1.5);
  REQUIRE(world.entropy_rate() == Approx(entropy(p) / 4).epsilon(1e-12));
  for (std::size_t t = 4; t <= 6; ++t)
    REQUIRE(brute_block_entropy(world, t) == Approx(*world.block_entropy(t)).epsilon(1e-10));
  brute_block_entropy(world, 3);  // sums to 1 before the phase is known
  REQUIRE(!world.block_entropy(3));
  REQUIRE((*world.block_entropy(404) - *world.block_entropy(400)) / 4 ==
          Approx(world.entropy_rate()).epsilon(1e-10));
  check_frequencies(world);
}

TEST_CASE("grammar: the entropy rate solves the system by hand") {
  const GrammarWorld world(small_grammar(), 5);
  // l_A = 1 + 0.25 l_A + 0.15 (2 l_A + 1), h_A = H + 0.25 h_A + 0.3 h_A, S adds one certain token.
  const double l = 1.15 / 0.45;
  const double h = -(0.6 * std::log(0.6) + 0.25 * std::log(0.25) + 0.15 * std::log(0.15)) / 0.45;
  REQUIRE(world.sentence_length() == Approx(1 + l).epsilon(1e-12));
  REQUIRE(world.entropy_rate() == Approx(h / (1 + l)).epsilon(1e-12));
}

TEST_CASE("grammar: windows have the probabilities of the process") {
  const GrammarWorld world(small_grammar(), 5);
  double last = 0, step = 10;
  for (std::size_t t = 1; t <= 6; ++t) {
    const double block = brute_block_entropy(world, t);
    REQUIRE(block - last < step + 1e-12);  // conditional entropies fall
    step = block - last;
    last = block;
  }
  REQUIRE(step > world.entropy_rate());
  check_frequencies(world);
  check_frequencies(GrammarWorld(random_grammar(3, 3, 3, 5), 7));
}

TEST_CASE("a world's loss on its own long text is its entropy rate") {
  for (const WorldKind& kind : world_kinds()) {
    INFO(kind.name);
    const auto world = kind.make(resolve_parameters(kind, {}), 2);
    if (!world->knows_windows()) continue;
    std::vector<Token> text;
    world->generate(Rng(8, 8), 40 * 2000, [&](Token token) { text.push_back(token); });
    std::vector<double> losses;
    for (std::size_t w = 0; w < 40;
         ++w) {  // only the second half of a window: its start is forgotten by then
      std::vector<double> out(1000);
      world->log_probs(std::span(text).subspan(w * 2000, 1000), out);
      losses.push_back(-mean(std::span(out).subspan(500)));
    }
    REQUIRE(std::abs(mean(losses) - world->entropy_rate()) < 4 * std::sqrt(variance(losses) / 40));
  }
}

TEST_CASE("synth stores what it knows, the same for the same seed") {
  const TemporaryFolder folder;
  SynthOptions options{"contexts", {"facts=64", "values=4"}, 50000, 7, {16, 32}, 0.1, {"test"}};
  const TokenFile file = synthesize(real_file_system(), options, folder.path() / "a.tok");
  REQUIRE(synthesize(real_file_system(), options, folder.path() / "b.tok").checksum() == file.checksum());
  options.seed = 8;
  REQUIRE(synthesize(real_file_system(), options, folder.path() / "c.tok").checksum() != file.checksum());
  const nlohmann::json facts = file.meta().at("entropy");
  const auto& floor = facts.at("floors").at(1);
  REQUIRE(floor.at("context") == 32);
  REQUIRE(floor.at("block").get<double>() > facts.at("rate").get<double>());
  // Expected loss of targets 1..T given 0..: (H(X_0..X_T) - H(X_0)) / T, at most H(X_1..X_T) / T.
  const double loss = floor.at("validation_loss").get<double>(),
               error = floor.at("validation_error").get<double>();
  REQUIRE(error > 0);
  REQUIRE(loss > facts.at("rate").get<double>() - 4 * error);
  REQUIRE(loss < floor.at("block").get<double>() + 4 * error);
}

TEST_CASE("wrong worlds and parameters are refused by name") {
  REQUIRE_THROWS_WITH(find_world("marko"), Catch::Contains("did you mean 'markov'"));
  const WorldKind& kind = find_world("markov");
  const auto refused = [&](const std::string& setting) {
    return resolve_parameters(kind, std::vector<std::string>{setting});
  };
  for (const char* bad :
       {"ordr=2", "order=0", "order=1.5", "order=", "order", "order=nan", "concentration=1e9"}) {
    INFO(bad);
    REQUIRE_THROWS_AS(refused(bad), UsageError);
  }
  REQUIRE_THROWS_AS(MarkovWorld(256, 4, 0.3, 0), UsageError);
  const WorldKind grammar = grammar_kind();
  const std::vector<std::string> many = {"nonterminals=64", "rules=64", "words=120"};
  REQUIRE_THROWS_WITH(grammar.make(resolve_parameters(grammar, many), 1),
                      Catch::Contains("4096, at most 512"));
}
