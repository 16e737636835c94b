#include "fit/procedure.hpp"

#include <fmt/ranges.h>

#include <cmath>

#include "base/error.hpp"
#include "fit/allocation/step_law.hpp"
#include "fit/choice/checklist.hpp"
#include "fit/choice/suspicions.hpp"
#include "fit/envelope.hpp"
#include "fit/isoflop.hpp"
#include "fit/surface.hpp"

namespace loglog::fit {
namespace {

// Values of the law's variables, in their order.
std::vector<std::vector<double>> places_of(const Law& law,
                                           const std::vector<std::map<std::string, double>>& places) {
  std::vector<std::vector<double>> result;
  for (const auto& place : places) {
    std::vector<double>& x = result.emplace_back();
    for (const std::string& variable : law.variables) {
      const auto found = place.find(variable);
      if (found == place.end() || place.size() != law.variables.size())
        throw UsageError(fmt::format("--predict: {} needs {}, and nothing else", law.name,
                                     fmt::join(law.variables, ", ")));
      if (!(found->second > 0) || std::isinf(found->second))
        throw UsageError(
            fmt::format("--predict: {} = {} is not positive and finite", variable, found->second));
      x.push_back(found->second);
    }
  }
  return result;
}

// True for Hoffmann's.
bool starts_named(const std::string& name) {
  if (name != "grid" && name != "hoffmann")
    throw UsageError(fmt::format("--starts '{}': grid or hoffmann", name));
  return name == "hoffmann";
}

FitResult run_isoflop(const Table& table, const ProcedureOptions& o) {
  const Runs runs = select_runs(table, {{"N", "D", "C"}, o.drop_highest, true});
  return fit_isoflop(
      runs, {interpolation_named(o.interpolation), o.sides, o.sigma, o.bootstrap, o.seed, o.threads});
}

FitResult run_envelope(const Table& table, const ProcedureOptions& o) {
  return fit_envelope(select_runs(table, {{"N", "D", "C"}, o.drop_highest, true}), {o.bootstrap > 0});
}

FitResult run_step_law(const Table& table, const ProcedureOptions& o) {
  return fit_step_law(select_runs(table, {{"N", "D", "lr", "batch"}, o.drop_highest}),
                      {o.within, o.bootstrap, o.seed});
}

// Every result comes with its checklist.
Procedure reported(Procedure procedure) {
  Procedure about = procedure;
  procedure.run = [about = std::move(about)](const Table& table, const ProcedureOptions& options) {
    FitResult result = about.run(table, options);
    result.checklist = checklist(table, about, options, result);
    return result;
  };
  return procedure;
}

std::vector<Procedure> make_list() {
  std::vector<Procedure> list;
  for (const Law& law : laws())
    list.push_back(surface_procedure(std::shared_ptr<const Law>(&law, [](const Law*) {})));  // lives for ever
  list.push_back(reported({"isoflop",
                           "minimum of loss over N at each C; N_opt ~ C^a, D_opt ~ C^b",
                           "Hoffmann et al. 2022, approach 2",
                           {"N", "D", "C"},
                           "loss",
                           {"interpolation", "sides", "sigma"},
                           run_isoflop}));
  list.push_back(reported({"envelope",
                           "least loss at each C; N_opt ~ C^a, D_opt ~ C^b",
                           "Hoffmann et al. 2022, approach 1",
                           {"N", "D", "C"},
                           "loss",
                           {},
                           run_envelope}));
  list.push_back(reported({"step-law",
                           "best lr = k N^x D^y and batch = k D^z",
                           "Li et al. 2025",
                           {"N", "D", "lr", "batch"},
                           "loss",
                           {"within"},
                           run_step_law}));
  return list;
}

}  // namespace

Procedure surface_procedure(std::shared_ptr<const Law> law) {
  return reported(
      {law->name,
       law->formula,
       law->source,
       law->variables,
       law->response,
       {"delta", "objective", "raw", "starts", "interval", "predict"},
       [law](const Table& table, const ProcedureOptions& o) {
         const Runs runs = select_runs(table, {law->variables, o.drop_highest, false, law->response});
         FitResult result = fit_surface(*law, runs,
                                        {o.delta,
                                         {interval_kind_named(o.interval), o.bootstrap, o.seed, o.threads},
                                         places_of(*law, o.places),
                                         objective_named(o.objective, o.raw),
                                         starts_named(o.starts)});
         add_suspicions(*law, table, runs, o, result);
         return result;
       }});
}

const std::vector<Procedure>& procedures() {
  static const std::vector<Procedure> list = make_list();
  return list;
}

const Procedure& find_procedure(std::string_view name) {
  return find_named("law", name, procedures(), &Procedure::name);
}

}  // namespace loglog::fit
