#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/sweep_report.hpp"

namespace loglog::report {
namespace {

std::string number_or_dash(const std::optional<double>& value, int digits = 5) {
  return value ? fmt::format("{:.{}g}", *value, digits) : "-";
}

std::string bound_text(double value) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return "open";
  return short_number(value, 4);
}

Row estimate_row(const std::string& name, const Estimate& e) {
  const double half_width = 50 * (e.hi - e.lo) / std::abs(e.value);
  return {name, short_number(e.value, 5), bound_text(e.lo), bound_text(e.hi),
          e.bounded() && std::isfinite(half_width) ? fmt::format("{:.2g}%", half_width) : "-"};
}

void add_fit(Page& page, const LawFit& fit) {
  page.heading(fit.law);
  if (!fit.refusal.empty()) {
    page.warning("Not fitted. " + fit.refusal);
    return;
  }
  page.paragraph(fit.formula + (fit.source.empty() ? "" : fmt::format(" ({})", fit.source)) +
                 fmt::format(", fitted to {} runs.", fit.runs));
  if (!fit.identified) page.warning("Not identified: these runs do not determine the parameters below.");
  for (const std::string& warning : fit.warnings) page.warning(warning);
  std::vector<Row> rows;
  for (const auto& [name, estimate] : fit.params) rows.push_back(estimate_row(name, estimate));
  for (const auto& [name, estimate] : fit.optimum) {
    const std::string meaning = name == "a" ? " (N_opt ~ C^a)" : name == "b" ? " (D_opt ~ C^b)" : "";
    rows.push_back(estimate_row(name + meaning, estimate));
  }
  page.table({"parameter", "value", "95% from", "to", "half-width"}, rows);
  std::vector<Row> budgets;
  for (const IsoflopBudget& budget : fit.budgets) {
    const auto& n = budget.best_n;
    budgets.push_back({short_number(budget.budget), n ? short_number(n->value) : "-",
                       n ? bound_text(n->lo) : "-", n ? bound_text(n->hi) : "-",
                       n ? fmt::format("{:.4f}", budget.best_loss) : "-", budget.problem});
  }
  if (!budgets.empty()) page.table({"budget, FLOPs", "best N", "95% from", "to", "loss", "remark"}, budgets);
  std::vector<Row> certificate;
  for (const auto& [name, value] : fit.certificate) certificate.push_back({name, value});
  if (!certificate.empty())
    page.folded_table("Certificate of convergence", {"quantity", "value"}, certificate);
}

Row run_row(const ReportRun& run) {
  return {run.name,
          run.size,
          short_number(run.n),
          short_number(run.d),
          short_number(run.c),
          fmt::format("{}", run.seed),
          run.loss ? fmt::format("{:.4f}", *run.loss) : "-",
          fmt::format("{:.2g}", run.epochs),
          fmt::format("{:.1f}", run.seconds),
          run.state};
}

void add_runs(Page& page, const std::vector<ReportRun>& runs) {
  std::vector<Row> all;
  std::vector<Row> excluded;
  double flops = 0;
  double seconds = 0;
  for (const ReportRun& run : runs) {
    all.push_back(run_row(run));
    if (!run.excluded.empty())
      excluded.push_back({run.name, run.state, number_or_dash(run.loss), run.excluded});
    flops += run.loss ? run.c : 0;
    seconds += run.seconds;
  }
  page.heading("Runs");
  page.paragraph(
      fmt::format("{} runs, {} of them left out of the fits; {} FLOPs and {:.1f} minutes of training.",
                  all.size(), excluded.size(), short_number(flops), seconds / 60));
  if (!excluded.empty()) {
    page.table({"left out", "state", "loss", "why"}, excluded);
  }
  page.folded_table(fmt::format("All {} runs", all.size()),
                    {"run", "size", "N", "D", "C", "seed", "loss", "epochs", "seconds", "state"}, all);
}

nlohmann::json runs_json(const std::vector<ReportRun>& runs) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReportRun& run : runs) {
    nlohmann::json row = {
        {"run", run.name},      {"size", run.size},      {"N", run.n},           {"D", run.d},
        {"C", run.c},           {"seed", run.seed},      {"budget", run.budget}, {"state", run.state},
        {"epochs", run.epochs}, {"seconds", run.seconds}};
    if (run.loss) row["loss"] = *run.loss;
    if (!run.excluded.empty()) row["excluded"] = run.excluded;
    list.push_back(std::move(row));
  }
  return list;
}

nlohmann::json data_json(const SweepReport& report) {
  nlohmann::json fits = nlohmann::json::array();
  for (const LawFit& fit : report.fits) {
    if (!fit.json.is_null()) fits.push_back(fit.json);
  }
  return {{"schema", 1}, {"runs", runs_json(report.runs)}, {"fits", std::move(fits)}};
}

}  // namespace

std::string sweep_page(const SweepReport& report, const Draw& draw) {
  Page page(report.title);
  page.list(headline(report));
  for (const std::string& warning : report.warnings) page.warning(warning);
  page.heading("Figures");
  for (const Figure& figure : figures(report)) page.figure(figure, draw(figure));
  for (const LawFit& fit : report.fits) add_fit(page, fit);
  add_runs(page, report.runs);
  page.heading("How this page was made");
  std::vector<Row> circumstances;
  for (const auto& [name, value] : report.circumstances) circumstances.push_back({name, value});
  if (!circumstances.empty()) page.table({"what", "value"}, circumstances);
  std::string commands;
  for (const std::string& command : report.commands) commands += command + "\n";
  if (!commands.empty()) page.code(commands);
  page.paragraph("All runs and fits are embedded in this page as JSON (element id \"loglog-data\").");
  page.data("loglog-data", data_json(report));
  return std::move(page).finish();
}

}  // namespace loglog::report
