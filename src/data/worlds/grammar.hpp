// grammar: sentences of a probabilistic context-free grammar, one after the other, each behind a start mark.
//
// Every rule is A -> t B_1 .. B_n with 0 <= n <= 3, and the rules of one A begin with different tokens t (a
// simple deterministic grammar): a sentence has one derivation, so the entropy of the text is that of the
// derivations. With p_r the rule probabilities, for every nonterminal
//   h_A = H(p of A) + sum_r p_r sum_i h_{B_i}        (nats per derivation)
//   l_A = 1         + sum_r p_r sum_i l_{B_i}        (tokens)
//   entropy rate h = h_S / l_S
// (Grenander 1967; both systems have one solution because every nonterminal has fewer than one child on
// average). Half of the rules end in a closing token that matches their first: brackets, so that context
// helps at any distance.
//
// A window begins inside a sentence. What is open there is a random walk up the derivation tree: a node A is
// child i of rule r of B with probability v_B p_r / v_A, v the expected number of nodes per sentence. The
// forward algorithm keeps every open part that the window has not contradicted, with its probability, and
// walks up only when a part completes; hypotheses below 1e-14 of the whole are dropped. H(X_1..X_T) has no
// closed form: average -log_probs over samples.
#pragma once
#include "data/worlds/world.hpp"

namespace loglog::data {

WorldKind grammar_kind();

struct Rule {
  Token token;
  double probability;
  std::vector<std::size_t> children;  // nonterminals, in order
};
// Nonterminal A has the rules grammar[A]; 0 is the start symbol S and no rule contains it.
using Grammar = std::vector<std::vector<Rule>>;

// A random grammar of so many bracketing nonterminals and rules for each.
Grammar random_grammar(std::size_t nonterminals, std::size_t rules, std::uint64_t words, std::uint64_t seed);

class GrammarWorld final : public World {
 public:
  GrammarWorld(Grammar grammar, std::uint64_t vocab);

  std::uint64_t vocab_size() const override { return vocab_; }
  double entropy_rate() const override { return entropies_[0] / lengths_[0]; }
  std::optional<double> block_entropy(std::uint64_t) const override { return std::nullopt; }
  void log_probs(std::span<const Token> window, std::span<double> out) const override;
  void generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const override;
  double sentence_length() const noexcept { return lengths_[0]; }

 private:
  struct Hypothesis;
  struct Parent {  // a place where a nonterminal occurs: child `position` of rule `rule` of `head`
    std::size_t head;
    const Rule* rule;
    std::size_t position;
    double probability;
  };
  void solve();
  void climb(std::vector<Hypothesis>& hypotheses) const;

  Grammar grammar_;
  std::uint64_t vocab_;
  std::vector<double> entropies_;             // h_A
  std::vector<double> lengths_;               // l_A
  std::vector<double> visits_;                // v_A, expected nodes per sentence
  std::vector<std::vector<Parent>> parents_;  // of each nonterminal; probabilities sum to 1 except for S
};

}  // namespace loglog::data
