#include "data/worlds/markov.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::uint64_t kRowStream = 1;

std::uint64_t power(std::uint64_t base, int exponent) {
  std::uint64_t result = 1;
  for (int i = 0; i < exponent; ++i) result *= base;
  return result;
}

std::unique_ptr<World> make(const nlohmann::json& p, std::uint64_t seed) {
  return std::make_unique<MarkovWorld>(p.at("vocab").get<std::uint64_t>(), p.at("order").get<int>(),
                                       p.at("concentration").get<double>(), seed);
}

}  // namespace

WorldKind markov_kind() {
  return {"markov",
          "chain of order k: learned completely, the null of a scaling study",
          {{"vocab", 16, 2, 256, true, "number of tokens V"},
           {"order", 2, 1, 4, true, "tokens that the next one depends on; V^(order+1) at most 2^24"},
           {"concentration", 0.3, 0.01, 100, false, "of the Dirichlet rows; small is predictable"}},
          &make};
}

MarkovWorld::MarkovWorld(std::uint64_t vocab, int order, double concentration, std::uint64_t seed)
    : vocab_(vocab), order_(order) {
  const double cells = std::pow(static_cast<double>(vocab), order + 1);
  if (cells > 0x1.0p24) {
    throw UsageError(
        fmt::format("markov with vocab={} and order={} has {:.3g} probabilities, at most 2^24 are allowed",
                    vocab, order, cells));
  }
  const Rng rng(seed, kRowStream);
  const std::uint64_t contexts = power(vocab, order);
  for (std::uint64_t c = 0; c < contexts; ++c) {
    const auto row = dirichlet(rng, c * vocab, vocab, concentration);
    rows_.insert(rows_.end(), row.begin(), row.end());
  }
  solve();
}

MarkovWorld::MarkovWorld(std::uint64_t vocab, int order, std::vector<double> rows)
    : vocab_(vocab), order_(order), rows_(std::move(rows)) {
  LOGLOG_CHECK(rows_.size() == power(vocab, order + 1), "{} probabilities", rows_.size());
  solve();
}

void MarkovWorld::solve() {
  const std::uint64_t contexts = power(vocab_, order_);
  std::vector<double> pi(contexts, 1.0 / static_cast<double>(contexts)), next(contexts);
  double change = 1;
  for (int round = 0; change > 1e-15 && round < 100000; ++round) {
    std::fill(next.begin(), next.end(), 0.0);
    for (std::uint64_t c = 0; c < contexts; ++c) {
      for (std::uint64_t x = 0; x < vocab_; ++x) {
        next[(c * vocab_ + x) % contexts] += pi[c] * rows_[c * vocab_ + x];
      }
    }
    change = 0;
    // Averaging with the last step converges for periodic chains too.
    for (std::uint64_t c = 0; c < contexts; ++c) {
      const double mixed = 0.5 * (pi[c] + next[c]);
      change += std::abs(mixed - pi[c]);
      pi[c] = mixed;
    }
  }
  marginals_.assign(static_cast<std::size_t>(order_) + 1, {});
  marginals_.back() = pi;
  for (int n = order_ - 1; n >= 0; --n) {
    auto& shorter = marginals_[static_cast<std::size_t>(n)];
    const auto& longer = marginals_[static_cast<std::size_t>(n) + 1];
    shorter.assign(power(vocab_, n), 0.0);
    for (std::size_t w = 0; w < longer.size(); ++w) shorter[w / vocab_] += longer[w];
  }
  for (std::uint64_t c = 0; c < contexts; ++c) {
    rate_ += pi[c] * entropy(std::span(rows_).subspan(c * vocab_, vocab_));
  }
}

std::optional<double> MarkovWorld::block_entropy(std::uint64_t tokens) const {
  const auto k = static_cast<std::uint64_t>(order_);
  if (tokens <= k) return entropy(marginals_[tokens]);
  return entropy(marginals_.back()) + static_cast<double>(tokens - k) * rate_;
}

void MarkovWorld::log_probs(std::span<const Token> window, std::span<double> out) const {
  const std::uint64_t contexts = power(vocab_, order_);
  std::uint64_t word = 0;
  for (std::size_t t = 0; t < window.size(); ++t) {
    const std::uint64_t longer = word * vocab_ + static_cast<std::uint64_t>(window[t]);
    if (t < static_cast<std::size_t>(order_)) {
      out[t] = std::log(marginals_[t + 1][longer]) - std::log(marginals_[t][word]);
      word = longer;
    } else {
      out[t] = std::log(rows_[longer]);
      word = longer % contexts;
    }
  }
}

void MarkovWorld::generate(const Rng& rng, std::uint64_t count,
                           const std::function<void(Token)>& emit) const {
  const std::uint64_t contexts = power(vocab_, order_);
  const std::vector<double> start = cumulate(marginals_.back());
  std::vector<double> rows;
  for (std::uint64_t c = 0; c < contexts; ++c) {
    const auto row = cumulate(std::span(rows_).subspan(c * vocab_, vocab_));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  std::uint64_t word = draw(start, rng.uniform(0));
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto next = draw(std::span(rows).subspan(word * vocab_, vocab_), rng.uniform(i + 1));
    emit(static_cast<Token>(next));
    word = (word * vocab_ + next) % contexts;
  }
}

}  // namespace loglog::data
