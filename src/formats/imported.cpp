#include "formats/imported.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::formats {

model::RunConfig completed(const model::ModelConfig& m, const std::string& file) {
  model::RunConfig config;
  config.model = m;
  try {
    config = model::from_json(model::to_json(config), file);  // which checks the ranges of single keys
    model::resolve(config, m.vocab);
  } catch (const UsageError& error) {  // it was the file that said so
    throw InputError("'" + file + "': " + error.what());
  }
  return config;
}

std::unique_ptr<model::Gpt> make_holder(const model::ModelConfig& m) {
  return std::make_unique<model::Gpt>(m, model::BatchShape{1, 1});
}

const tensor::Parameter& parameter(const model::Gpt& gpt, std::string_view name) {
  const auto& all = gpt.parameters();
  const auto found = std::ranges::find_if(all, [&](const auto& p) { return p.name == name; });
  LOGLOG_CHECK(found != all.end(), "no parameter is called {}", name);
  return found->tensor;
}

}  // namespace loglog::formats
