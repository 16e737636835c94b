#include "data/worlds/facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kFactValueStream = 3, kFactOrderStream = 4, kHeldOutStream = 5;
constexpr std::uint64_t kMostSentences = std::uint64_t{1} << 18;

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  const auto whole = [&](const char* name) { return p.at(name).get<std::uint64_t>(); };
  const FactsParameters parameters{
      whole("entities"), whole("relations"),         whole("values"), whole("length"), whole("templates"),
      whole("held_out"), p.at("alpha").get<double>()};
  if (parameters.held_out >= parameters.templates)
    throw UsageError(fmt::format("facts: held_out={} of templates={} leaves none to tell a fact in",
                                 parameters.held_out, parameters.templates));
  const std::uint64_t sentences = parameters.entities * parameters.relations * parameters.templates;
  if (sentences > kMostSentences)
    throw UsageError(fmt::format("facts: entities * relations * templates is {}, at most {} are allowed",
                                 sentences, kMostSentences));
  return std::make_unique<FactsWorld>(parameters, seed);
}

// Which tokens are what.
struct FactTokens {
  explicit FactTokens(const FactsParameters& p)
      : digits(static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(p.entities))))),
        first_words(2 * digits),
        first_value(first_words + p.relations * p.templates),
        stop(first_value + p.values) {}
  std::uint64_t digits;       // of entities: 0..digits-1, then digits..2 digits-1
  std::uint64_t first_words;  // of relation 0 in template 0; templates of a relation follow each other
  std::uint64_t first_value;
  std::uint64_t stop;
};

// Fact k, the k-th most frequent.
struct Fact {
  Fact(const FactsParameters& p, std::uint64_t seed, std::uint64_t k) {
    const std::uint64_t facts = p.entities * p.relations;
    const std::uint64_t pair = Permutation(facts, seed, kFactOrderStream)(k);
    entity = pair / p.relations;
    relation = pair % p.relations;
    const Rng values(seed, kFactValueStream);
    const FactTokens tokens(p);
    for (std::uint64_t i = 0; i < p.length; ++i)
      value.push_back(static_cast<Token>(tokens.first_value + values.below(pair * p.length + i, p.values)));
    const std::uint64_t fact_seed = Rng(seed, kHeldOutStream).bits(pair);
    const Permutation order(p.templates, fact_seed, kHeldOutStream);
    held_out.resize(p.templates);
    for (std::uint64_t i = 0; i < p.held_out; ++i) held_out[order(i)] = true;
  }

  std::vector<Token> prompt(const FactsParameters& p, std::uint64_t template_number) const {
    const FactTokens tokens(p);
    return {static_cast<Token>(entity / tokens.digits),
            static_cast<Token>(tokens.digits + entity % tokens.digits),
            static_cast<Token>(tokens.first_words + relation * p.templates + template_number)};
  }

  std::uint64_t entity, relation;
  std::vector<Token> value;
  std::vector<bool> held_out;  // by template
};

// The sentences in which facts are told, fact by fact.
std::vector<Token> sentences_of(const FactsParameters& p, std::uint64_t seed) {
  std::vector<Token> tokens;
  for (std::uint64_t k = 0; k < p.entities * p.relations; ++k) {
    const Fact fact(p, seed, k);
    for (std::uint64_t t = 0; t < p.templates; ++t) {
      if (fact.held_out[t]) continue;
      const std::vector<Token> prompt = fact.prompt(p, t);
      tokens.insert(tokens.end(), prompt.begin(), prompt.end());
      tokens.insert(tokens.end(), fact.value.begin(), fact.value.end());
      tokens.push_back(static_cast<Token>(FactTokens(p).stop));
    }
  }
  return tokens;
}

std::vector<double> sentence_probabilities(const FactsParameters& p) {
  const std::uint64_t told = p.templates - p.held_out;
  std::vector<double> probabilities;
  for (const double fact : zipf(p.entities * p.relations, 1 + p.alpha))
    probabilities.insert(probabilities.end(), told, fact / static_cast<double>(told));
  return probabilities;
}

}  // namespace

WorldKind facts_kind() {
  return {"facts",
          "entities, relations and values in different words: what is stored, by exposure",
          {{"entities", 512, 1, 65536, true, "number of entities E"},
           {"relations", 4, 1, 256, true, "relations of each R"},
           {"values", 64, 2, 4096, true, "number of value tokens V"},
           {"length", 1, 1, 8, true, "tokens of a value m"},
           {"templates", 4, 1, 64, true, "ways to tell a relation T"},
           {"held_out", 1, 0, 63, true, "of these, of each fact, never used h"},
           {"alpha", 0.5, 0, 4, false, "facts occur as k^-(1+alpha)"}},
          &make};
}

FactsWorld::FactsWorld(const FactsParameters& p, std::uint64_t seed)
    : UnitWorld(FactTokens(p).stop + 1, p.length + 4, sentence_probabilities(p), sentences_of(p, seed)),
      parameters_(p),
      seed_(seed) {}

nlohmann::json FactsWorld::header() const {
  return {{"tokenizer", {{"kind", "world"}}}, {"document_end", FactTokens(parameters_).stop}};
}

void FactsWorld::tell_truth(const Rng& rng, std::uint64_t count,
                            const std::function<void(const nlohmann::json&)>& tell) const {
  const FactsParameters& p = parameters_;
  const std::uint64_t facts = p.entities * p.relations, told = p.templates - p.held_out;
  const std::vector<std::uint64_t> seen = exposures(rng, count);
  const double bits = static_cast<double>(facts * p.length) * std::log2(static_cast<double>(p.values));
  tell({{"facts", facts}, {"bits", bits}});
  for (std::uint64_t k = 0; k < facts; ++k) {
    const Fact fact(p, seed_, k);
    std::uint64_t sentence = k * told, total = 0;
    auto prompts = nlohmann::json::array();
    for (std::uint64_t t = 0; t < p.templates; ++t) {
      const std::uint64_t times = fact.held_out[t] ? 0 : seen[sentence];
      prompts.push_back({{"template", t},
                         {"held_out", static_cast<bool>(fact.held_out[t])},
                         {"exposures", times},
                         {"tokens", fact.prompt(p, t)}});
      if (!fact.held_out[t]) ++sentence;
      total += times;
    }
    tell({{"fact", k},
          {"entity", fact.entity},
          {"relation", fact.relation},
          {"probability", probability(k * told) * static_cast<double>(told)},
          {"exposures", total},
          {"value", fact.value},
          {"prompts", std::move(prompts)}});
  }
}

}  // namespace loglog::data
