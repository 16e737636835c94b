#include "night/night.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "night/notes.hpp"
#include "night/phases.hpp"

namespace loglog::night {

using sweep::Store;

bool is_night(const Path& folder) {
  return path_exists(folder / kStore);
}

void begin_night(const Settings& settings, const Path& folder) {
  Store store(folder / kStore, Store::Mode::create);
  const Json asked = to_json(settings);
  const std::optional<Json> there = note(store, "settings");
  if (there && *there != asked)
    throw UsageError(
        fmt::format("{} holds another night: {}; `loglog night {}` goes on with it, -o names another folder",
                    folder.native(), there->dump(), folder.native()));
  if (!there) save_note(store, "settings", asked);
}

NightEnd go_on(const Tools& tools, Until until) {
  const FolderLock lock(tools.folder);
  Store store(tools.folder / kStore, Store::Mode::write);
  const Night night{tools, store};
  for (const Phase& phase : phases()) {
    if (!note(store, phase.name)) {
      tools.say(phase.what);
      const std::optional<Json> found = phase.go(night);
      if (!found) return NightEnd::stopped;
      save_note(store, phase.name, *found);
    }
    if (until == Until::plan && phase.name == std::string_view(kLastOfPlan)) break;
  }
  return NightEnd::done;
}

}  // namespace loglog::night
