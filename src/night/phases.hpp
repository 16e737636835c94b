// The phases of a night, in order. Each returns what it found, for the store; nothing when a signal came.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "night/notes.hpp"

namespace loglog::night {

struct Night {
  const Tools& tools;
  sweep::Store& store;

  std::string at(const char* file) const { return (tools.folder / file).native(); }
  Settings settings() const { return settings_of(found("settings")); }
  NightPlan plan() const { return plan_of(found("plan")); }
  Json found(const std::string& phase) const;  // of one that is done

  // Writes NAME.toml and trains what is not trained of it. False when a signal came.
  bool train(const char* name, const std::string& file) const;
};

struct Phase {
  const char* name;
  const char* what;  // for people
  std::optional<Json> (*go)(const Night& night);
};
const std::vector<Phase>& phases();
inline constexpr const char* kLastOfPlan = "plan";

}  // namespace loglog::night
