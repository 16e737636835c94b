// What a night keeps in its store between its phases.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "night/night.hpp"
#include "night/night_plan.hpp"
#include "sweep/store.hpp"

namespace loglog::night {

using Json = nlohmann::ordered_json;

// Files of a night's folder.
inline constexpr const char* kStore = "night.db";
inline constexpr const char* kText = "text.tok";
inline constexpr const char* kPredictions = "predictions.jsonl";
inline constexpr const char* kScores = "scores.json";
inline constexpr const char* kReport = "report.html";
inline constexpr const char* kSummary = "summary.txt";
// Sweeps, each in a file NAME.toml that extends base.toml.
inline constexpr const char* kTuning = "tuning";
inline constexpr const char* kNoise = "noise";
inline constexpr const char* kFitted = "fitted";
inline constexpr const char* kDesign = "design";  // a phase, no sweep
inline constexpr const char* kFar = "far";

// What a phase found; nothing where it is not done.
std::optional<Json> note(const sweep::Store& store, const std::string& phase);
void save_note(sweep::Store& store, const std::string& phase, const Json& found);

Json to_json(const Settings& settings);
Settings settings_of(const Json& json);
Json budgets_json(const std::vector<Budget>& budgets);
std::vector<Budget> budgets_of(const Json& json);
Json to_json(const NightPlan& plan);
NightPlan plan_of(const Json& json);

}  // namespace loglog::night
