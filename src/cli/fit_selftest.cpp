// loglog fit --selftest: what this build of the fitter still finds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/fit.hpp"
#include "fit/selftest/accuracy.hpp"
#include "fit/selftest/coverage.hpp"
#include "fit/selftest/laws.hpp"
#include "fit/selftest/speed.hpp"

namespace loglog::cli {
namespace {

void require_folder(const std::string& folder) {
  if (!path_exists(folder)) throw InputError(fmt::format("cannot open '{}': no such folder", folder));
}

int run_accuracy(const std::string& folder) {
  if (folder.empty())
    throw UsageError("--selftest accuracy needs --data FOLDER, which has the published sweeps");
  require_folder(folder);
  std::vector<fit::AccuracyCheck> checks = fit::accuracy_checks();
  for (const fit::AccuracyCheck& check : fit::objective_checks()) checks.push_back(check);
  bool passed = true;
  fmt::print("{:<4} {:<64} {:<26} {:<14}\n", "", "", "required", "got");
  for (const fit::AccuracyCheck& check : checks) {
    fmt::print("{:<4} {}\n", check.id, check.title);
    for (const fit::Requirement& r : fit::run_check(check, folder)) {
      fmt::print("     {:<63} {:<26} {:<14.8g} {}\n", r.what, r.required, r.got, r.passed ? "pass" : "FAIL");
      passed = passed && r.passed;
    }
  }
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

// True where all passed.
bool print_row(const std::string& title, const std::vector<fit::Judgement>& judgements) {
  bool passed = true;
  fmt::print("{}\n", title);
  for (const fit::Judgement& j : judgements) {
    fmt::print("  {:<56} {:<26} {:<20} {}\n", j.what, j.required, j.got, j.passed ? "pass" : "FAIL");
    passed = passed && j.passed;
  }
  std::fflush(stdout);  // a row may take a minute
  return passed;
}

int run_coverage(const fit::CoverageOptions& options, const std::string& only) {
  const auto is_meant = [&](const fit::CoverageRow& row) {
    return row.title.find(only) != std::string::npos;
  };
  if (std::ranges::none_of(fit::coverage_rows(), is_meant))
    throw UsageError(fmt::format("--only '{}': no row of the table has that in its title", only));
  bool passed = true;
  fmt::print("{} sweeps of each row, seed {}\n  {:<56} {:<26} {}\n", options.sweeps, options.seed, "",
             "required", "got");
  for (const fit::CoverageRow& row : fit::coverage_rows())
    if (is_meant(row)) passed = print_row(row.title, row.run(options)) && passed;
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

int run_speed(const std::string& folder) {
  if (!folder.empty()) require_folder(folder);
  bool passed = true;
  fmt::print("CPU seconds, one thread\n  {:<56} {:<26} {}\n", "", "required", "got");
  for (const fit::SpeedRow& row : fit::speed_rows()) passed = print_row(row.title, row.run(folder)) && passed;
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

}  // namespace

int run_fit_selftest(const SelftestArguments& arguments) {
  if (arguments.kind == "accuracy") return run_accuracy(arguments.data);
  if (arguments.kind == "speed") return run_speed(arguments.data);
  if (arguments.kind == "coverage")
    return run_coverage({arguments.sweeps, arguments.seed, arguments.threads}, arguments.only);
  bool passed = true;
  for (const fit::SelfCheck& check : fit::selftest()) {
    fmt::print("{:<8} {:<32} {}\n", check.passed ? "ok" : "FAILED", check.name, check.detail);
    passed = passed && check.passed;
  }
  return static_cast<int>(passed ? Exit::done : Exit::failed);
}

}  // namespace loglog::cli
