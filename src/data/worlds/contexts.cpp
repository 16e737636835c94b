#include "data/worlds/contexts.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace loglog::data {
namespace {

constexpr std::uint64_t kValueStream = 2;

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  return std::make_unique<ContextsWorld>(
      ContextsParameters{p.at("facts").get<std::uint64_t>(), p.at("values").get<std::uint64_t>(),
                         p.at("length").get<std::uint64_t>(), p.at("alpha").get<double>()},
      seed);
}

std::string key(std::size_t begin, std::span<const Token> tokens) {
  std::string text(1 + tokens.size_bytes(), static_cast<char>(begin));
  std::memcpy(text.data() + 1, tokens.data(), tokens.size_bytes());
  return text;
}

}  // namespace

WorldKind contexts_kind() {
  return {"contexts",
          "facts with Zipf frequencies: loss falls as a power of size and data",
          {{"facts", 4096, 2, 65536, true, "number of facts K"},
           {"values", 16, 2, 256, true, "number of value tokens V"},
           {"length", 2, 1, 8, true, "values per fact m"},
           {"alpha", 0.5, 0, 4, false, "facts occur as k^-(1+alpha)"}},
          &make};
}

ContextsWorld::ContextsWorld(const ContextsParameters& parameters, std::uint64_t seed)
    : parameters_(parameters),
      period_(parameters.length + 2),
      probabilities_(zipf(parameters.facts, 1 + parameters.alpha)) {
  digits_ = static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(parameters.facts))));
  const Rng rng(seed, kValueStream);
  for (std::uint64_t k = 0; k < parameters.facts; ++k) {
    tokens_.push_back(static_cast<Token>(k / digits_));
    tokens_.push_back(static_cast<Token>(digits_ + k % digits_));
    for (std::uint64_t v = 0; v < parameters.length; ++v) {
      tokens_.push_back(
          static_cast<Token>(2 * digits_ + rng.below(k * parameters.length + v, parameters.values)));
    }
  }
  for (std::uint64_t k = 0; k < parameters.facts; ++k) {
    for (std::size_t begin = 0; begin < period_; ++begin) {
      for (std::size_t end = begin + 1; end <= period_; ++end) {
        masses_[key(begin, fact(k).subspan(begin, end - begin))] += probabilities_[k];
      }
    }
  }
}

double ContextsWorld::entropy_rate() const {
  return entropy(probabilities_) / static_cast<double>(period_);
}

double ContextsWorld::part_entropy(std::size_t begin, std::size_t end) const {
  if (end == begin) return 0;
  std::vector<double> parts;
  const std::size_t size = 1 + (end - begin) * sizeof(Token);
  for (const auto& [text, mass] : masses_) {
    if (text.size() == size && static_cast<unsigned char>(text[0]) == begin) parts.push_back(mass);
  }
  std::sort(parts.begin(), parts.end());  // the same sum whatever the order of the map
  return entropy(parts);
}

std::optional<double> ContextsWorld::block_entropy(std::uint64_t tokens) const {
  if (tokens < period_) return std::nullopt;
  double sum = 0;
  for (std::size_t phase = 0; phase < period_; ++phase) {
    const std::uint64_t after_head = tokens - (period_ - phase);
    sum += part_entropy(phase, period_);
    const std::uint64_t whole_facts = after_head / period_;
    sum += static_cast<double>(whole_facts) * entropy(probabilities_);
    sum += part_entropy(0, after_head % period_);
  }
  return std::log(static_cast<double>(period_)) + sum / static_cast<double>(period_);
}

// Forward over the unknown phase: joint[phase] = p(phase, all facts completed so far), times the mass of the
// fact that is under way.
void ContextsWorld::log_probs(std::span<const Token> window, std::span<double> out) const {
  std::vector<double> joint(period_, -std::log(static_cast<double>(period_)));
  double before = 0;  // ln p(x_0..x_{t-1})
  for (std::size_t t = 0; t < window.size(); ++t) {
    double total = 0;
    double largest = -std::numeric_limits<double>::infinity();
    std::vector<double> now(period_);
    for (std::size_t phase = 0; phase < period_; ++phase) {
      const std::size_t place = (phase + t) % period_;
      const std::size_t seen = std::min(place + 1, t + 1);  // tokens of this fact inside the window
      const auto mass = masses_.find(key(place + 1 - seen, window.subspan(t + 1 - seen, seen)));
      now[phase] = mass == masses_.end() ? -std::numeric_limits<double>::infinity()
                                         : joint[phase] + std::log(mass->second);
      if (place + 1 == period_) joint[phase] = now[phase];
      largest = std::max(largest, now[phase]);
    }
    for (const double value : now) total += std::isfinite(largest) ? std::exp(value - largest) : 0;
    const double after = largest + std::log(total);
    out[t] = std::isfinite(largest) ? after - before : -std::numeric_limits<double>::infinity();
    before = after;
  }
}

void ContextsWorld::generate(const Rng& rng, std::uint64_t count,
                             const std::function<void(Token)>& emit) const {
  const std::vector<double> sums = cumulate(probabilities_);
  for (std::uint64_t i = 0; i * period_ < count; ++i) {
    for (const Token token : fact(draw(sums, rng.uniform(i)))) emit(token);
  }
}

}  // namespace loglog::data
