// A study: a source's claims, run at laptop scale. One file that measures, one manifest (configs/studies) that says beforehand what is
// asked for, one line in the list of studies.cpp.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/table.hpp"
#include "report/plot.hpp"
#include "studies/manifest.hpp"
#include "studies/verdict.hpp"

namespace loglog::studies {

enum class Effort { quick, full };
inline constexpr std::string_view kEfforts[] = {"quick", "full"};

struct Table {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::string note = {};
};

// What a study has found. All that its page shows, so that the page can be made again from this alone.
struct Result {
  std::string study, title, effort, manifest_hash;
  bool exploratory = false;
  std::vector<std::string> facts;  // data, models, machine: one sentence each
  std::vector<Finding> findings;
  std::vector<Control> controls;
  std::vector<Table> tables;
  std::vector<report::Figure> figures;
};

// What `loglog sweep run` is told.
struct Training {
  Path sweep_file, store;
  Path data;             // in place of the workplace's; empty: that
  std::string arm = {};  // of the sweep file
  bool keep = true;      // the models
};

// What a study works with.
struct Workplace {
  Effort effort = Effort::quick;
  Path data;    // token file
  Path folder;  // that the study may fill
  Path replay;  // published runs, for a study that knows some; empty: none
  const kernels::KernelTable* table = nullptr;
  int threads = 1;
  std::uint64_t seed = 1;                 // of resampling
  std::vector<std::string> command = {};  // line that this comes from, for the page
  // Trains what of a sweep file is not trained yet, into a store in `folder`; false when a signal came.
  std::function<bool(const Training& training)> train;
  std::function<void(const std::string&)> say;  // progress
  std::function<bool()> stop;                   // whether a signal came
};

struct Study {
  std::string_view name, title;
  std::string_view quick, full;  // what each costs, in words
  std::vector<Claim> (*claims)(const Manifest& manifest);
  // Of each key of the manifest; bounds may be other keys' numbers, which stand before.
  std::vector<Allowed> (*allowed)(const Manifest& manifest);
  // Findings without verdicts, for run_study(); nothing when a signal came.
  std::optional<Result> (*run)(const Manifest& manifest, const Workplace& workplace);
};

std::span<const Study> studies();
// UsageError with the nearest name for one that does not exist.
const Study& find_study(std::string_view name);

// What a study is asked: its own manifest, or that of a file in its place. UsageError as Manifest::read(), and for a number that is not allowed.
Manifest manifest_of(const Study& study, const Path& file = {});

// Measures, judges and writes the page into the workplace's folder. Nothing, and no page, when a signal came.
std::optional<Result> run_study(const Study& study, Manifest manifest, const Workplace& workplace);

}  // namespace loglog::studies
