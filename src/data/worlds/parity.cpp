#include "data/worlds/parity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kPlacesStream = 6;
constexpr double kNever = -std::numeric_limits<double>::infinity();

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  const auto whole = [&](const char* name) { return p.at(name).get<std::uint64_t>(); };
  const ParityParameters parameters{whole("tasks"), whole("bits"), whole("subset"),
                                    p.at("alpha").get<double>()};
  if (parameters.subset > parameters.bits)
    throw UsageError(fmt::format("parity: subset={} of bits={}", parameters.subset, parameters.bits));
  return std::make_unique<ParityWorld>(parameters, seed);
}

bool is_bit(Token token) {
  return token == 0 || token == 1;
}

}  // namespace

WorldKind parity_kind() {
  return {"parity",
          "many sparse parities with Zipf frequencies: learned task by task",
          {{"tasks", 64, 1, 4096, true, "number of tasks K"},
           {"bits", 24, 1, 200, true, "bits of an example n"},
           {"subset", 3, 1, 200, true, "bits whose parity a task asks for"},
           {"alpha", 0.4, 0, 4, false, "tasks occur as k^-(1+alpha)"}},
          &make};
}

ParityWorld::ParityWorld(const ParityParameters& p, std::uint64_t seed)
    : parameters_(p), probabilities_(zipf(p.tasks, 1 + p.alpha)) {
  for (std::uint64_t task = 0; task < p.tasks; ++task) {
    const Permutation order(p.bits, Rng(seed, kPlacesStream).bits(task), kPlacesStream);
    std::vector<std::size_t> places;
    for (std::uint64_t i = 0; i < p.subset; ++i) places.push_back(order(i));
    std::sort(places.begin(), places.end());
    places_.push_back(std::move(places));
  }
}

double ParityWorld::entropy_rate() const {
  const auto bits = static_cast<double>(parameters_.bits);
  return (entropy(probabilities_) + bits * std::numbers::ln2) / (bits + 2);
}

// p(answer | the bits from first_bit on), the task unknown: those whose places are all seen say it, the others toss a coin.
double ParityWorld::log_answer(std::size_t first_bit, std::span<const Token> bits, Token answer) const {
  double sum = 0;
  for (std::size_t task = 0; task < places_.size(); ++task) {
    if (places_[task].front() < first_bit) {
      sum += probabilities_[task] / 2;
      continue;
    }
    Token parity = 0;
    for (const std::size_t place : places_[task]) parity ^= bits[place - first_bit];
    if (kEven + parity == answer) sum += probabilities_[task];
  }
  return sum > 0 ? std::log(sum) : kNever;
}

double ParityWorld::log_mass(std::size_t begin, std::span<const Token> tokens) const {
  double log_p = 0;
  std::span<const Token> bits = tokens;
  const bool has_task = begin == 0, has_answer = begin + tokens.size() == period();
  if (has_task) bits = bits.subspan(1);
  if (has_answer) bits = bits.first(bits.size() - 1);
  if (!std::all_of(bits.begin(), bits.end(), is_bit)) return kNever;
  log_p -= static_cast<double>(bits.size()) * std::numbers::ln2;
  if (has_answer && tokens.back() != kEven && tokens.back() != kOdd) return kNever;
  if (has_task) {
    const auto task = static_cast<std::size_t>(tokens[0] - kFirstTask);
    if (tokens[0] < kFirstTask || task >= places_.size()) return kNever;
    log_p += std::log(probabilities_[task]);
    if (!has_answer) return log_p;
    Token parity = 0;
    for (const std::size_t place : places_[task]) parity ^= bits[place];
    return kEven + parity == tokens.back() ? log_p : kNever;
  }
  return has_answer ? log_p + log_answer(begin - 1, bits, tokens.back()) : log_p;
}

void ParityWorld::log_probs(std::span<const Token> window, std::span<double> out) const {
  unit_log_probs(
      period(), [&](std::size_t begin, std::span<const Token> tokens) { return log_mass(begin, tokens); },
      window, out);
}

template <class Visit>
void ParityWorld::for_each_task(const Rng& rng, std::uint64_t count, Visit&& visit) const {
  const std::vector<double> sums = cumulate(probabilities_);
  for (std::uint64_t i = 0; i * period() < count; ++i) {
    const std::uint64_t index = i * (parameters_.bits + 1);
    visit(draw(sums, rng.uniform(index)), index + 1);
  }
}

void ParityWorld::generate(const Rng& rng, std::uint64_t count,
                           const std::function<void(Token)>& emit) const {
  std::vector<Token> bits(parameters_.bits);
  for_each_task(rng, count, [&](std::size_t task, std::uint64_t index) {
    for (Token& bit : bits) bit = static_cast<Token>(rng.below(index++, 2));
    emit(kFirstTask + static_cast<Token>(task));
    for (const Token bit : bits) emit(bit);
    Token parity = 0;
    for (const std::size_t place : places_[task]) parity ^= bits[place];
    emit(kEven + parity);
  });
}

void ParityWorld::tell_truth(const Rng& rng, std::uint64_t count,
                             const std::function<void(const nlohmann::json&)>& tell) const {
  std::vector<std::uint64_t> seen(places_.size());
  for_each_task(rng, count, [&](std::size_t task, std::uint64_t) { ++seen[task]; });
  for (std::size_t task = 0; task < places_.size(); ++task)
    tell({{"task", kFirstTask + static_cast<Token>(task)},
          {"probability", probabilities_[task]},
          {"places", places_[task]},
          {"exposures", seen[task]}});
}

}  // namespace loglog::data
