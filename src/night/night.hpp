// One night on a laptop: from a text to a law, to losses foretold and then reached, in the hours that there are.
//
// A night lies in one folder: token file, store, sweep files, predictions, scores, report, summary. It goes through phases; what
// each found is a note of the store (notes.hpp), and a phase whose note is there is not gone through again. So a night that was stopped or
// killed goes on where it was, to the same results. What takes long is done by the public verbs of the program: each of its steps can
// be repeated by hand.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "kernels/table.hpp"

namespace loglog::night {

struct Settings {
  std::vector<std::string> texts;   // files, absolute
  std::string tokenizer = "bytes";  // as of `data import`
  double hours = 8;
};

struct Tools {
  Path folder;  // exists
  const kernels::KernelTable& kernels;
  int processors = 1;
  // Runs a verb of the program. False when a signal came; Error with its exit code when it failed.
  std::function<bool(const std::vector<std::string>& words)> loglog;
  std::function<void(const std::string&)> say;
  std::function<bool()> stop;  // whether a signal came
};

enum class Until { plan, end };
enum class NightEnd { done, stopped };

// The folder of a night that was begun.
bool is_night(const Path& folder);

// Writes down what is asked for. UsageError where the folder holds another night.
void begin_night(const Settings& settings, const Path& folder);

// The phases that are left. RefusedError where text or hours are too few; errors of the verbs it runs.
NightEnd go_on(const Tools& tools, Until until);

// What is planned, and what was found so far, in words.
std::string plan_text(const Path& folder);
std::string summary_text(const Path& folder);

}  // namespace loglog::night
