#include "predict/score.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace loglog::predict {

std::vector<Scored> score(const PredictionSet& set, const std::string& hash, const sweep::Store& store) {
  const std::vector<sweep::RunRow> runs = store.runs();
  std::vector<Scored> scored;
  for (const Prediction& prediction : set.list) {
    Scored& s = scored.emplace_back();
    s.prediction = prediction;
    s.state = "not trained";
    const auto run = std::ranges::find_if(
        runs, [&](const sweep::RunRow& row) { return row.spec.identity == prediction.run; });
    if (run == runs.end()) continue;
    s.state = sweep::state_name(run->state);
    s.loss = run->loss;
    const nlohmann::json end = nlohmann::json::parse(run->end, nullptr, false);
    if (!end.is_object() || !end.contains("prediction")) continue;
    s.hash = end["prediction"].value("hash", "");
    s.commit = end["prediction"].value("commit", "");
    s.registered = s.hash == hash;
  }
  return scored;
}

}  // namespace loglog::predict
