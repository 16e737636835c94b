#include "data/worlds/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "data/worlds/arithmetic.hpp"
#include "data/worlds/contexts.hpp"
#include "data/worlds/facts.hpp"
#include "data/worlds/grammar.hpp"
#include "data/worlds/markov.hpp"
#include "data/worlds/parity.hpp"

namespace loglog::data {

const std::vector<WorldKind>& world_kinds() {
  static const std::vector<WorldKind> kinds = [] {
    std::vector<WorldKind> all = {markov_kind(), grammar_kind(), contexts_kind(), facts_kind(),
                                  parity_kind()};
    for (WorldKind& kind : arithmetic_kinds()) all.push_back(std::move(kind));
    return all;
  }();
  return kinds;
}

const WorldKind& find_world(std::string_view name) {
  return find_named("world", name, world_kinds(), &WorldKind::name);
}

nlohmann::json resolve_parameters(const WorldKind& kind, std::span<const std::string> settings) {
  nlohmann::json resolved;
  std::vector<std::string_view> known;
  for (const WorldParameter& parameter : kind.parameters) {
    resolved[std::string(parameter.name)] = parameter.value;
    known.push_back(parameter.name);
  }
  for (const std::string& setting : settings) {
    const std::string_view text = setting;
    const std::size_t equal = text.find('=');
    const std::string_view name = text.substr(0, equal);
    const auto parameter = std::find_if(kind.parameters.begin(), kind.parameters.end(),
                                        [&](const WorldParameter& p) { return p.name == name; });
    if (parameter == kind.parameters.end()) throw_unknown_name("world parameter", name, known);
    const std::string_view digits = equal == std::string_view::npos ? "" : text.substr(equal + 1);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool number = error == std::errc() && end == digits.data() + digits.size();
    if (!number || !(value >= parameter->low && value <= parameter->high) ||
        (parameter->whole && value != std::floor(value))) {
      throw UsageError(fmt::format("--set {}: expected {} in {}..{} ({})", setting,
                                   parameter->whole ? "a whole number" : "a number", parameter->low,
                                   parameter->high, parameter->help));
    }
    resolved[std::string(name)] = value;
  }
  return resolved;
}

double entropy(std::span<const double> probabilities) {
  double sum = 0;
  for (const double p : probabilities) sum -= p > 0 ? p * std::log(p) : 0;
  return sum;
}

std::vector<double> zipf(std::uint64_t count, double exponent) {
  std::vector<double> p(count);
  double total = 0;
  for (std::uint64_t k = 0; k < count; ++k) total += p[k] = std::pow(static_cast<double>(k + 1), -exponent);
  for (double& value : p) value /= total;
  return p;
}

// Gamma variates by Marsaglia and Tsang (2000); below shape 1 by the boost U^(1/shape).
std::vector<double> dirichlet(const Rng& rng, std::uint64_t first_index, std::uint64_t count,
                              double concentration) {
  constexpr std::uint64_t kDraws = 1024;  // indices reserved per variate; a few are used
  const double shape = concentration < 1 ? concentration + 1 : concentration;
  const double d = shape - 1.0 / 3.0;
  std::vector<double> p(count);
  double total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t index = (first_index + i) * kDraws;
    const double boost = concentration < 1 ? std::pow(1 - rng.uniform(index++), 1 / concentration) : 1;
    for (double v = 0; v <= 0;) {
      const double z = rng.normal(index++);
      const double u = 1 - rng.uniform(index++);
      const double root = 1 + z / std::sqrt(9 * d);
      v = root * root * root;
      if (v > 0 && std::log(u) < 0.5 * z * z + d - d * v + d * std::log(v)) {
        p[i] = d * v * boost;
      } else {
        v = 0;
      }
    }
    total += p[i];
  }
  for (double& value : p) value /= total;
  return p;
}

std::size_t draw(std::span<const double> cumulative, double uniform) {
  const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), uniform * cumulative.back());
  return static_cast<std::size_t>(std::min(at, cumulative.end() - 1) - cumulative.begin());
}

std::vector<double> cumulate(std::span<const double> probabilities) {
  std::vector<double> sums;
  double sum = 0;
  for (const double p : probabilities) sums.push_back(sum += p);
  return sums;
}

}  // namespace loglog::data
