#include "data/worlds/units.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.hpp"

namespace loglog::data {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

std::string key(std::size_t begin, std::span<const Token> tokens) {
  std::string text(1 + tokens.size_bytes(), static_cast<char>(begin));
  std::memcpy(text.data() + 1, tokens.data(), tokens.size_bytes());
  return text;
}

}  // namespace

// Forward over the unknown phase: joint[phase] = p(phase, all units completed so far), times the mass of the unit that is
// under way.
void unit_log_probs(std::size_t period, const UnitLogMass& log_mass, std::span<const Token> window,
                    std::span<double> out) {
  std::vector<double> joint(period, -std::log(static_cast<double>(period))), now(period);
  double before = 0;  // ln p(x_0..x_{t-1})
  for (std::size_t t = 0; t < window.size(); ++t) {
    double largest = kNever;
    for (std::size_t phase = 0; phase < period; ++phase) {
      const std::size_t place = (phase + t) % period;
      const std::size_t seen = std::min(place + 1, t + 1);  // tokens of this unit inside the window
      now[phase] = kNever;
      if (std::isfinite(joint[phase]))
        now[phase] = joint[phase] + log_mass(place + 1 - seen, window.subspan(t + 1 - seen, seen));
      if (place + 1 == period) joint[phase] = now[phase];
      largest = std::max(largest, now[phase]);
    }
    double total = 0;
    for (const double value : now) total += std::isfinite(largest) ? std::exp(value - largest) : 0;
    const double after = largest + std::log(total);
    out[t] = std::isfinite(largest) ? after - before : kNever;
    before = after;
  }
}

UnitWorld::UnitWorld(std::uint64_t vocab, std::size_t period, std::vector<double> probabilities,
                     std::vector<Token> tokens)
    : vocab_(vocab), period_(period), probabilities_(std::move(probabilities)), tokens_(std::move(tokens)) {
  LOGLOG_CHECK(period > 0 && tokens_.size() == probabilities_.size() * period, "{} units of {}, {} tokens",
               probabilities_.size(), period, tokens_.size());
  for (std::size_t i = 0; i < probabilities_.size(); ++i) {
    for (std::size_t begin = 0; begin < period_; ++begin) {
      for (std::size_t end = begin + 1; end <= period_; ++end) {
        masses_[key(begin, unit(i).subspan(begin, end - begin))] += probabilities_[i];
      }
    }
  }
}

double UnitWorld::entropy_rate() const {
  return entropy(probabilities_) / static_cast<double>(period_);
}

double UnitWorld::part_entropy(std::size_t begin, std::size_t end) const {
  if (end == begin) return 0;
  std::vector<double> parts;
  const std::size_t size = 1 + (end - begin) * sizeof(Token);
  for (const auto& [text, mass] : masses_) {
    if (text.size() == size && static_cast<unsigned char>(text[0]) == begin) parts.push_back(mass);
  }
  std::sort(parts.begin(), parts.end());  // the same sum whatever the order of the map
  return entropy(parts);
}

std::optional<double> UnitWorld::block_entropy(std::uint64_t tokens) const {
  if (tokens < period_) return std::nullopt;
  double sum = 0;
  for (std::size_t phase = 0; phase < period_; ++phase) {
    const std::uint64_t after_head = tokens - (period_ - phase);
    sum += part_entropy(phase, period_);
    const std::uint64_t whole_units = after_head / period_;
    sum += static_cast<double>(whole_units) * entropy(probabilities_);
    sum += part_entropy(0, after_head % period_);
  }
  return std::log(static_cast<double>(period_)) + sum / static_cast<double>(period_);
}

void UnitWorld::log_probs(std::span<const Token> window, std::span<double> out) const {
  const auto log_mass = [&](std::size_t begin, std::span<const Token> tokens) {
    const auto mass = masses_.find(key(begin, tokens));
    return mass == masses_.end() ? kNever : std::log(mass->second);
  };
  unit_log_probs(period_, log_mass, window, out);
}

template <class Visit>
void UnitWorld::for_each_unit(const Rng& rng, std::uint64_t count, Visit&& visit) const {
  const std::vector<double> sums = cumulate(probabilities_);
  for (std::uint64_t i = 0; i * period_ < count; ++i) visit(draw(sums, rng.uniform(i)));
}

void UnitWorld::generate(const Rng& rng, std::uint64_t count, const std::function<void(Token)>& emit) const {
  for_each_unit(rng, count, [&](std::size_t i) {
    for (const Token token : unit(i)) emit(token);
  });
}

std::vector<std::uint64_t> UnitWorld::exposures(const Rng& rng, std::uint64_t count) const {
  std::vector<std::uint64_t> seen(probabilities_.size());
  for_each_unit(rng, count, [&](std::size_t i) { ++seen[i]; });
  return seen;
}

}  // namespace loglog::data
