#include "data/worlds/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kRuleStream = 3;
constexpr double kMostChildren = 0.85;   // expected per node: below 1 the sentences end
constexpr std::size_t kMostRules = 512;  // the parses of a window that must be told apart grow with them
constexpr double kNegligible = 1e-14;

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  const auto nonterminals = p.at("nonterminals").get<std::size_t>();
  const auto rules = p.at("rules").get<std::size_t>();
  const auto words = p.at("words").get<std::uint64_t>();
  if (nonterminals * rules > kMostRules) {
    throw UsageError(
        fmt::format("grammar: nonterminals x rules is {}, at most {}: beyond, the source's own loss takes "
                    "hours to work out",
                    nonterminals * rules, kMostRules));
  }
  Grammar grammar = random_grammar(nonterminals, rules, words, seed);
  return std::make_unique<GrammarWorld>(std::move(grammar), 1 + 2 * words);
}

}  // namespace

WorldKind grammar_kind() {
  return {"grammar",
          "sentences of a probabilistic grammar with matching brackets",
          {{"nonterminals", 8, 1, 64, true, "kinds of phrases"},
           {"rules", 5, 2, 64, true, "rules per kind, at most `words`"},
           {"words", 16, 2, 120, true, "opening tokens; as many closing ones and a start mark"}},
          &make};
}

// Tokens: 0 the start mark, 1..words the openers, words+1..2 words their closers. Nonterminals: 0 the start
// symbol, then the phrases, then one per closer, whose only rule emits it.
Grammar random_grammar(std::size_t nonterminals, std::size_t rules, std::uint64_t words, std::uint64_t seed) {
  const Rng rng(seed, kRuleStream);
  std::uint64_t index = std::uint64_t{1} << 40;  // beyond what dirichlet() uses
  rules = std::min<std::size_t>(rules, words);
  Grammar grammar(1 + nonterminals + words);
  grammar[0].push_back({0, 1.0, {1}});
  for (std::size_t a = 1; a <= nonterminals; ++a) {
    const auto probabilities = dirichlet(rng, a * 64, rules, 1.0);
    const Permutation openers(words, seed, kRuleStream + a);
    double expected = 0;
    for (std::size_t r = 0; r < rules; ++r) {
      Rule rule{static_cast<Token>(1 + openers(r)), probabilities[r], {}};
      const std::uint64_t phrases = r == 0 ? 0 : 1 + rng.below(index++, 2);
      for (std::uint64_t i = 0; i < phrases; ++i)
        rule.children.push_back(1 + rng.below(index++, nonterminals));
      expected += rule.probability * static_cast<double>(phrases);
      if (r > 0 && rng.below(index++, 2) == 1) {
        rule.children.push_back(nonterminals + static_cast<std::size_t>(rule.token));
      }
      grammar[a].push_back(std::move(rule));
    }
    if (expected > kMostChildren) {  // move weight to the rule without phrases
      const double keep = kMostChildren / expected;
      for (Rule& rule : grammar[a]) rule.probability *= keep;
      grammar[a][0].probability += 1 - keep;
    }
  }
  for (std::uint64_t w = 1; w <= words; ++w) {
    grammar[nonterminals + w].push_back({static_cast<Token>(words + w), 1.0, {}});
  }
  return grammar;
}

GrammarWorld::GrammarWorld(Grammar grammar, std::uint64_t vocab)
    : grammar_(std::move(grammar)), vocab_(vocab) {
  solve();
}

// Fixed points by iteration; they converge geometrically because the grammar is subcritical.
void GrammarWorld::solve() {
  const std::size_t n = grammar_.size();
  entropies_.assign(n, 0);
  lengths_.assign(n, 0);
  visits_.assign(n, 0);
  double change = 1;
  for (int round = 0; change > 1e-15; ++round) {
    LOGLOG_CHECK(round < 100000, "the grammar's sentences do not end");
    change = 0;
    std::vector<double> visits(n, 0);
    visits[0] = 1;
    for (std::size_t a = 0; a < n; ++a) {
      double h = 0, l = 1;
      for (const Rule& rule : grammar_[a]) {
        h -= rule.probability * std::log(rule.probability);
        for (const std::size_t child : rule.children) {
          h += rule.probability * entropies_[child];
          l += rule.probability * lengths_[child];
          visits[child] += rule.probability * visits_[a];
        }
      }
      change = std::max({change, std::abs(h - entropies_[a]) / (1 + h), std::abs(l - lengths_[a]) / l});
      entropies_[a] = h;
      lengths_[a] = l;
    }
    for (std::size_t a = 0; a < n; ++a)
      change = std::max(change, std::abs(visits[a] - visits_[a]) / (1 + visits[a]));
    visits_ = visits;
  }
  parents_.assign(n, {});
  for (std::size_t head = 0; head < n; ++head) {
    if (visits_[head] == 0) continue;  // never used
    for (const Rule& rule : grammar_[head]) {
      for (std::size_t i = 0; i < rule.children.size(); ++i) {
        const std::size_t child = rule.children[i];
        parents_[child].push_back({head, &rule, i, visits_[head] * rule.probability / visits_[child]});
      }
    }
  }
}

// A part of the derivation that fits the window so far: what must follow (`open`, next symbol last), and the
// node `root` that completes when nothing of it is left; what is above `root` is not yet known.
struct GrammarWorld::Hypothesis {
  std::vector<std::size_t> open;
  std::size_t root;
  double weight;
};

// Replaces hypotheses with nothing open by what may stand above them, until something is open everywhere, and
// joins equal ones.
void GrammarWorld::climb(std::vector<Hypothesis>& hypotheses) const {
  std::map<std::pair<std::vector<std::size_t>, std::size_t>, double> joined;
  std::vector<double> complete(grammar_.size(), 0.0);  // weight by root
  for (Hypothesis& h : hypotheses) {
    if (h.open.empty()) {
      complete[h.root] += h.weight;
    } else {
      joined[{std::move(h.open), h.root}] += h.weight;
    }
  }
  // A phrase at the end of its parent completes the parent too; the chain up dies out geometrically.
  for (double left = 1; left > 0;) {
    std::vector<double> above(grammar_.size(), 0.0);
    left = 0;
    for (std::size_t a = 0; a < complete.size(); ++a) {
      if (complete[a] <= 0) continue;
      if (a == 0) joined[{{0}, 0}] += complete[0];  // the next sentence
      for (const Parent& parent : parents_[a]) {
        const double weight = complete[a] * parent.probability;
        const auto& children = parent.rule->children;
        if (parent.position + 1 == children.size()) {
          if (weight > kNegligible * kNegligible) left = std::max(left, above[parent.head] += weight);
        } else {
          const auto later = static_cast<std::ptrdiff_t>(parent.position) + 1;
          joined[{{children.rbegin(), children.rend() - later}, parent.head}] += weight;
        }
      }
    }
    complete = std::move(above);
  }
  hypotheses.clear();
  for (const auto& [state, weight] : joined) {
    if (weight > kNegligible) hypotheses.push_back({state.first, state.second, weight});
  }
}

void GrammarWorld::log_probs(std::span<const Token> window, std::span<double> out) const {
  std::vector<Hypothesis> hypotheses;
  double nodes = 0;  // every node emits one token: the window begins at a random node
  for (const double visits : visits_) nodes += visits;
  for (std::size_t a = 0; a < grammar_.size(); ++a) {
    if (visits_[a] > 0) hypotheses.push_back({{a}, a, visits_[a] / nodes});
  }
  for (std::size_t t = 0; t < window.size(); ++t) {
    double total = 0;
    std::vector<Hypothesis> next;
    for (Hypothesis& h : hypotheses) {
      for (const Rule& rule : grammar_[h.open.back()]) {
        if (rule.token != window[t]) continue;
        h.open.pop_back();
        h.open.insert(h.open.end(), rule.children.rbegin(), rule.children.rend());
        h.weight *= rule.probability;
        total += h.weight;
        next.push_back(std::move(h));
        break;  // at most one rule begins with this token
      }
    }
    out[t] = total > 0 ? std::log(total) : -std::numeric_limits<double>::infinity();
    for (Hypothesis& h : next) h.weight /= total;
    climb(next);
    hypotheses = std::move(next);
  }
}

void GrammarWorld::generate(const Rng& rng, std::uint64_t count,
                            const std::function<void(Token)>& emit) const {
  std::vector<std::vector<double>> sums;
  for (const auto& rules : grammar_) {
    std::vector<double> probabilities;
    for (const Rule& rule : rules) probabilities.push_back(rule.probability);
    sums.push_back(cumulate(probabilities));
  }
  std::vector<std::size_t> open;
  for (std::uint64_t i = 0; i < count || !open.empty(); ++i) {
    if (open.empty()) open.push_back(0);
    const std::size_t a = open.back();
    open.pop_back();
    const Rule& rule = grammar_[a][draw(sums[a], rng.uniform(i))];
    emit(rule.token);
    open.insert(open.end(), rule.children.rbegin(), rule.children.rend());
  }
}

}  // namespace loglog::data
