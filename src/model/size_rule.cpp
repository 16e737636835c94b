#include "model/size_rule.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "model/count.hpp"

namespace loglog::model {

SizeRule apply_size_rule(std::string_view rule, const ModelConfig& config, double tokens) {
  const ParameterCounts n = count_parameters(config);
  const auto context = static_cast<double>(config.context);
  const auto sequences = [&](double batch_tokens) {
    return std::max<Index>(1, static_cast<Index>(std::round(batch_tokens / context)));
  };
  if (rule == "porian") {
    return {3.7 * std::pow(n.n_matrix, -0.36), sequences(2048 * 3.7e-4 * std::pow(n.n_matrix, 0.703))};
  }
  LOGLOG_CHECK(rule == "bytes", "rule is '{}'", rule);
  const Index batch = sequences(512 * std::pow(tokens / 2.5e6, 0.85));
  const double lr = 0.0073 * std::pow(n.n_nonemb / 24576, -0.21) *
                    std::pow(static_cast<double>(config.layers) / 2, -0.42) *
                    std::sqrt(static_cast<double>(batch) * context / 1024) * std::pow(tokens / 4e6, -0.09);
  return {lr, batch};
}

}  // namespace loglog::model
