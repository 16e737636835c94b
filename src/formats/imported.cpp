#include "formats/imported.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.hpp"
#include "base/error.hpp"
#include "model/open_model.hpp"

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
  return std::make_unique<model::Gpt>(m, model::BatchShape{1, 1}, model::FloatType::float32,
                                      model::Purpose::inference);
}

std::size_t holder_bytes(const model::ModelConfig& m) {
  std::size_t all = 0, largest = 0;
  for (const model::ParameterShape& p : model::parameter_shapes(m)) {
    const std::size_t bytes = tensor::arena_bytes(p.rows * p.cols);
    all += bytes;
    largest = std::max(largest, bytes);
  }
  return all + largest;
}

void note_not_finite(ImportedModel& model) {
  const std::string notice = model::not_finite_notice(model::GptParameters(*model.gpt), model.gpt->config());
  if (!notice.empty()) model.notices.push_back(notice);
}

const tensor::Parameter& parameter(const model::Gpt& gpt, std::string_view name) {
  const auto& all = gpt.parameters();
  const auto found = std::ranges::find_if(all, [&](const auto& p) { return p.name == name; });
  LOGLOG_CHECK(found != all.end(), "no parameter is called {}", name);
  return found->tensor;
}

}  // namespace loglog::formats
