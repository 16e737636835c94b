#include "report/from_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.hpp"
#include "fit/procedure.hpp"
#include "fit/runs.hpp"
#include "report/from_fit.hpp"

namespace loglog::report {
namespace {

using Json = nlohmann::json;

Json parse_or_empty(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_object() ? value : Json::object();
}

// NaN where the run's text has none.
double bigram_entropy_of(const sweep::RunRow& row) {
  const Json bigram = parse_or_empty(row.end).value("bigram_entropy", Json());
  return bigram.is_number() ? bigram.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

// As fit::select_runs decides it.
std::string reason_to_exclude(const sweep::RunRow& row) {
  if (row.state == sweep::State::done)
    return row.loss ? fit::reason_above_bigram(*row.loss, bigram_entropy_of(row)) : "";
  const std::string state(sweep::state_name(row.state));
  if (!row.error.empty()) return state + ": " + row.error;
  return row.state == sweep::State::diverged ? state : "no result yet";
}

ReportRun run_of(const sweep::Store& store, const sweep::RunRow& row) {
  ReportRun run;
  run.name = row.spec.name;
  run.size = row.spec.size;
  run.seed = row.spec.seed;
  run.n = row.spec.n;
  run.d = row.spec.d;
  run.c = row.spec.c;
  run.budget = row.spec.budget;
  run.state = std::string(sweep::state_name(row.state));
  run.loss = row.loss;
  run.seconds = row.seconds;
  run.epochs = parse_or_empty(row.end).value("epochs", 0.0);
  run.excluded = reason_to_exclude(row);
  for (const sweep::CurvePoint& point : store.curve(row.id))
    run.curve.push_back({point.tokens, point.train_loss, point.val_loss});
  return run;
}

// What the fitter reads; row i is rows[i], so that the fit's row numbers are ours.
fit::Table table_of(const std::vector<ReportRun>& runs, const std::vector<sweep::RunRow>& rows,
                    const std::string& source) {
  std::vector<std::string> identities, status, errors, losses, bigrams;
  std::vector<double> n, d, c, seeds, budgets;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    identities.push_back(rows[i].spec.identity);
    status.push_back(runs[i].state);
    errors.push_back(rows[i].error);
    const double bigram = bigram_entropy_of(rows[i]);
    bigrams.push_back(std::isnan(bigram) ? "" : fmt::format("{:.17g}", bigram));
    losses.push_back(runs[i].loss ? fmt::format("{:.17g}", *runs[i].loss) : "");
    n.push_back(runs[i].n);
    d.push_back(runs[i].d);
    c.push_back(runs[i].c);
    seeds.push_back(static_cast<double>(runs[i].seed));
    budgets.push_back(runs[i].budget);
  }
  fit::Table table(source);
  table.add("run", identities);
  table.add("status", status);
  table.add("error", errors);
  table.add("bigram_entropy", bigrams);
  table.add("N", n);
  table.add("D", d);
  table.add("C", c);
  table.add("seed", seeds);
  if (std::all_of(runs.begin(), runs.end(), [](const ReportRun& run) { return run.budget > 0; }))
    table.add("budget", budgets);
  table.add("loss", losses);
  return table;
}

std::vector<std::string> default_laws(const std::vector<ReportRun>& runs) {
  const bool budgets = std::any_of(runs.begin(), runs.end(), [](const ReportRun& r) { return r.budget > 0; });
  return budgets ? std::vector<std::string>{"chinchilla", "isoflop"} : std::vector<std::string>{"chinchilla"};
}

LawFit fit_or_refusal(const fit::Procedure& procedure, const fit::Table& table,
                      const std::vector<ReportRun>& runs, const ReportOptions& options) {
  fit::ProcedureOptions settings;
  settings.bootstrap = options.bootstrap;
  settings.seed = options.seed;
  settings.threads = options.threads;
  try {
    return law_fit(procedure, procedure.run(table, settings), runs);
  } catch (const Error& error) {
    return LawFit{procedure.name, procedure.formula, procedure.source, error.what()};
  }
}

void warn_unfinished(SweepReport& report) {
  std::size_t waiting = 0;
  std::ptrdiff_t repeated = 0;
  for (const ReportRun& run : report.runs) {
    waiting += run.state == "queued" || run.state == "running" || run.state == "checkpointed" ? 1 : 0;
    repeated += run.loss && run.epochs > fit::kOneEpoch ? 1 : 0;
  }
  if (waiting > 0)
    report.warnings.push_back(fmt::format("The sweep is not finished: {} of {} runs have no result yet.",
                                          waiting, report.runs.size()));
  if (repeated > 0) report.warnings.push_back(fit::repeated_data_warning(repeated) + ".");
}

void add_circumstances(const std::vector<sweep::RunRow>& rows, SweepReport& report) {
  std::map<std::string, std::set<std::string>> seen;
  for (const sweep::RunRow& row : rows) {
    if (row.state != sweep::State::done) continue;
    const Json config = parse_or_empty(row.spec.config);
    seen["data"].insert(config.value("/data/path"_json_pointer, std::string("?")));
    seen["data checksum"].insert(row.spec.data_checksum);
    seen["context"].insert(fmt::format("{}", config.value("/model/context"_json_pointer, 0)));
    const Json end = parse_or_empty(row.end);
    for (const char* key : {"isa", "binary", "threads"}) {
      if (end.contains(key))
        seen[key].insert(end[key].is_string() ? end[key].get<std::string>() : end[key].dump());
    }
  }
  for (const auto& [name, values] : seen) {
    std::string text;
    for (const std::string& value : values) text += (text.empty() ? "" : ", ") + value;
    report.circumstances.push_back({name, text});
  }
}

}  // namespace

SweepReport report_of(const sweep::Store& store, const ReportOptions& options) {
  SweepReport report;
  report.title = options.title.empty() ? store.path().stem().string() : options.title;
  const std::vector<sweep::RunRow> rows = store.runs_of(options.sweep);
  for (const sweep::RunRow& row : rows) report.runs.push_back(run_of(store, row));
  const bool finished =
      std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.state == sweep::State::done; });
  if (!finished) {
    throw RefusedError(
        fmt::format("{} has no finished run among its {}; `loglog sweep status {}` says how far it is",
                    store.path().string(), rows.size(), store.path().string()));
  }
  const fit::Table table = table_of(report.runs, rows, store.path().filename().string());
  for (const std::string& law : options.laws.empty() ? default_laws(report.runs) : options.laws)
    report.fits.push_back(fit_or_refusal(fit::find_procedure(law), table, report.runs, options));
  warn_unfinished(report);
  add_circumstances(rows, report);
  return report;
}

KnownFloor known_floor(const nlohmann::json& meta, std::int64_t context) {
  KnownFloor floor;
  const auto entropy = meta.find("entropy");
  if (entropy == meta.end() || !entropy->contains("rate")) return floor;
  floor.entropy_rate = entropy->at("rate").get<double>();
  for (const auto& entry : entropy->value("floors", nlohmann::json::array())) {
    if (entry.at("context") != context) continue;
    floor.context_entropy = entry.at("block").get<double>();
    floor.validation_loss = entry.at("validation_loss").get<double>();
  }
  return floor;
}

DataUse data_of(const sweep::Store& store, const ReportOptions& options) {
  for (const sweep::RunRow& row : store.runs_of(options.sweep)) {
    if (row.state != sweep::State::done) continue;
    const Json config = parse_or_empty(row.spec.config);
    return {config.value("/data/path"_json_pointer, std::string()), row.spec.data_checksum,
            config.value("/model/context"_json_pointer, std::int64_t{0})};
  }
  return {};
}

}  // namespace loglog::report
