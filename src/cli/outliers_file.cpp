// loglog outliers --activations: the statistics that need no model. And how every result is told.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/processors.hpp"
#include "cli/outliers.hpp"
#include "cli/picture_file.hpp"
#include "cli/stop_signals.hpp"
#include "cli/talk.hpp"
#include "kernels/threads.hpp"
#include "quant/activations/stored_activations.hpp"
#include "studies/outliers_figures.hpp"
#include "train/memory.hpp"

namespace loglog::cli {
namespace {

// Those that were asked for, else all of the file. Numbers of channels mean nothing across sites of different widths.
std::vector<std::string> sites_of(const OutlierArguments& a, const quant::StoredActivations& file) {
  const std::vector<std::string> there = file.sites();
  const std::vector<std::string>& asked = a.survey.sites;
  for (const std::string& site : asked)
    if (std::ranges::find(there, site) == there.end())
      throw UsageError(fmt::format("--sites '{}': '{}' has {}", site, a.activations, fmt::join(there, ", ")));
  const std::vector<std::string>& sites = asked.empty() ? there : asked;
  for (const std::string& site : sites)
    if (file.channels(site) != file.channels(sites.front()))
      throw UsageError(
          fmt::format("'{}' has {} channels at {} and {} at {}: --sites chooses those that "
                      "count together",
                      a.activations, file.channels(site), site, file.channels(sites.front()), sites.front()));
  return sites;
}

void require_room(const std::string& path, const quant::StoredActivations& file) {
  const double needed = file.largest_tensor_bytes(),
               available = static_cast<double>(train::available_memory());
  if (needed > available)
    throw RefusedError(fmt::format(
        "the largest tensor of '{}' needs {:.1f} MiB of memory and {:.1f} MiB are available: several smaller "
        "ones, a layer each, take less",
        path, needed / (1 << 20), available / (1 << 20)));
}

}  // namespace

int outliers_of_file(const OutlierArguments& a) {
  const quant::StoredActivations file(a.activations);
  require_room(a.activations, file);
  const int threads = kernels::usable_threads(
      a.model.threads > 0 ? a.model.threads : static_cast<int>(usable_processors().size()));
  OutlierResult r;
  r.subject = a.activations;
  quant::SurveySettings settings = a.survey;
  settings.sites = sites_of(a, file);
  install_stop_signals();
  auto survey = quant::survey(
      [&](const std::vector<quant::ActivationSink*>& sinks) {
        return file.give(sinks, threads, stop_requested);
      },
      settings, stop_requested);
  if (!survey) return stop_exit_code();
  r.measured = std::move(*survey);
  return tell(a, r);
}

int tell(const OutlierArguments& a, const OutlierResult& r) {
  if (a.json)
    fmt::print("{}\n", json_text(outliers_json(a, r), 2));
  else
    print_outliers(a, r);
  for (const std::string& path : {a.png, a.svg})
    if (!path.empty())
      write_picture(path, studies::outlier_map(r.subject, r.survey().sums, r.survey().sites));
  if (const std::uint64_t count = r.survey().sums.nonfinite(); count > 0)
    talk("loglog: {} activations are not finite; statistics of activations leave them out{}\n", count,
         r.model() != nullptr ? ", loss and attention do not" : "");
  return static_cast<int>(r.is_finite() ? Exit::done : Exit::diverged);
}

}  // namespace loglog::cli
