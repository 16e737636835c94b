#include "night/notes.hpp"

#include "base/error.hpp"

namespace loglog::night {
namespace {

std::string key_of(const std::string& phase) {
  return "night " + phase;
}

}  // namespace

std::optional<Json> note(const sweep::Store& store, const std::string& phase) {
  const std::optional<std::string> text = store.note(key_of(phase));
  if (!text) return std::nullopt;
  Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object())
    throw InputError(store.path().native() + ": the note '" + key_of(phase) + "' is damaged");
  return json;
}

void save_note(sweep::Store& store, const std::string& phase, const Json& found) {
  store.save_note(key_of(phase), found.dump());
}

Json to_json(const Settings& s) {
  return {{"texts", s.texts}, {"tokenizer", s.tokenizer}, {"hours", s.hours}};
}

Settings settings_of(const Json& json) {
  return {json.at("texts").get<std::vector<std::string>>(), json.at("tokenizer").get<std::string>(),
          json.at("hours").get<double>()};
}

Json budgets_json(const std::vector<Budget>& budgets) {
  Json json = Json::array();
  for (const Budget& b : budgets) json.push_back({{"flops", b.flops}, {"sizes", b.sizes}});
  return json;
}

std::vector<Budget> budgets_of(const Json& json) {
  std::vector<Budget> budgets;
  for (const Json& b : json)
    budgets.push_back({b.at("flops").get<double>(), b.at("sizes").get<std::vector<std::string>>()});
  return budgets;
}

Json to_json(const NightPlan& plan) {
  return {{"budgets", budgets_json(plan.budgets)},
          {"repeated", plan.repeated},
          {"far", plan.far},
          {"eval_tokens", plan.eval_tokens},
          {"seconds",
           {{"tuning", plan.tuning_seconds},
            {"noise", plan.noise_seconds},
            {"fitted", plan.sweep_seconds},
            {"far", plan.far_seconds}}},
          {"limit", plan.limit}};
}

NightPlan plan_of(const Json& json) {
  NightPlan plan;
  plan.budgets = budgets_of(json.at("budgets"));
  plan.repeated = json.at("repeated").get<int>();
  plan.far = json.at("far").get<std::vector<double>>();
  plan.eval_tokens = json.at("eval_tokens").get<double>();
  const Json& seconds = json.at("seconds");
  plan.tuning_seconds = seconds.at("tuning").get<double>();
  plan.noise_seconds = seconds.at("noise").get<double>();
  plan.sweep_seconds = seconds.at("fitted").get<double>();
  plan.far_seconds = seconds.at("far").get<double>();
  plan.limit = json.at("limit").get<std::string>();
  return plan;
}

}  // namespace loglog::night
