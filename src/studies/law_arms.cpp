#include "studies/law_arms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/rng.hpp"
#include "fit/choice/folds.hpp"
#include "fit/solve.hpp"
#include "predict/store_table.hpp"
#include "studies/built_in.hpp"
#include "studies/format.hpp"
#include "sweep/store.hpp"

namespace loglog::studies {
namespace {

// By identity of the run.
std::map<std::string, double> best_losses(const sweep::Store& store, const std::string& sweep) {
  std::map<std::string, double> best;
  for (const sweep::RunRow& run : store.runs_of(sweep)) {
    if (run.state != sweep::State::done) continue;
    double least = *run.loss;
    for (const sweep::CurvePoint& point : store.curve(run.id))
      if (point.val_loss) least = std::min(least, *point.val_loss);
    best[run.spec.identity] = least;
  }
  return best;
}

}  // namespace

std::optional<fit::Table> trained_runs(const Workplace& w, const std::string& sweep, const std::string& arm,
                                       const Path& data) {
  const Path file = w.folder / (sweep + ".toml"), db = w.folder / (sweep + ".db");
  real_file_system().create_directories(w.folder);
  write_atomically(real_file_system(), file, built_in_config(sweep));
  w.say(fmt::format("{}{}", sweep, arm.empty() ? "" : ", arm " + arm));
  if (!w.train({file, db, data, arm, false})) return std::nullopt;
  const sweep::Store store(db, sweep::Store::Mode::read);
  const std::string name = arm.empty() ? sweep : fmt::format("{}-{}", sweep, arm);
  fit::Table table = predict::table_of(store, name);
  const std::map<std::string, double> best = best_losses(store, name);
  std::vector<double> column;
  for (const std::string& run : table.texts("run"))
    column.push_back(best.contains(run) ? best.at(run) : std::nan(""));
  table.add("best_loss", column);
  return table;
}

std::string runs_fact(const std::string& name, const fit::Table& runs) {
  const std::vector<std::string>& sizes = runs.texts("size");
  const auto lost =
      std::ranges::count_if(runs.texts("status"), [](const std::string& s) { return s != "done"; });
  double flops = 0;
  for (const double c : runs.numbers("C")) flops += c;
  return fmt::format("{}: {} runs of {} sizes, {:.2g} FLOPs{}", name, runs.rows(),
                     std::set<std::string>(sizes.begin(), sizes.end()).size(), flops,
                     lost > 0 ? fmt::format(", of which {} have no loss", lost) : "");
}

fit::Vector refitted(const fit::Law& law, const fit::Runs& runs, const fit::FitResult& fit,
                     const std::vector<double>& losses, const std::vector<double>& weight) {
  const fit::Points points(law, fit::columns_of(runs, law).columns, losses);
  const fit::Vector start = law.form->centre(fit.theta, points.centres());
  const fit::Descent end = fit::descend(points, weight, {fit.delta}, law.form->bounds(points), start);
  if (end.converged()) return law.form->restore(end.theta, points.centres());
  const fit::Solution solution = fit::solve(points, weight, {fit.delta});
  fit::Vector theta = law.form->restore(solution.theta, points.centres());
  if (!solution.certificate.converged) theta.fill(std::nan(""));
  return theta;
}

double residual_sd(const fit::FitResult& fit, int parameters) {
  double sum = 0;
  for (const double r : fit.residuals) sum += r * r;
  return std::sqrt(sum / (static_cast<double>(fit.residuals.size()) - parameters));
}

std::vector<double> losses_anew(const fit::Runs& runs, const fit::FitResult& fit, std::uint64_t seed,
                                std::uint64_t resample) {
  const double sd = residual_sd(fit, static_cast<int>(fit.params.size()));
  const Rng rng(seed, resample);
  std::vector<double> losses;
  for (std::size_t i = 0; i < runs.loss.size(); ++i)
    losses.push_back(runs.loss[i] * std::exp(fit.residuals[i] + sd * rng.normal(i)));
  return losses;
}

Table budget_table(const std::string& title, const fit::FitResult& isoflop) {
  Table t{title, {"FLOPs", "runs", "N_opt", "D_opt", "D/N", "loss", "not used, because"}, {}, ""};
  for (const fit::Budget& b : isoflop.budgets) {
    std::vector<std::string> row = {number(b.C), fmt::format("{}", b.points)};
    if (b.used)
      row.insert(row.end(),
                 {number(b.N_opt), number(b.D_opt), number(b.D_opt / b.N_opt), number(b.loss, 5), ""});
    else
      row.insert(row.end(), {"-", "-", "-", "-", b.reason});
    t.rows.push_back(std::move(row));
  }
  return t;
}

report::Figure isoflop_figure(const std::string& name, const std::string& title, const fit::Runs& runs,
                              const fit::FitResult& isoflop) {
  report::Figure figure{name, title, "", {"N", true}, {"loss, nats per token"}};
  figure.legend_title = "FLOPs";
  figure.caption = "Points are runs, lines the parabolas of approach 2 where they have a minimum inside.";
  const auto count = static_cast<double>(isoflop.budgets.size());
  for (std::size_t k = 0; k < isoflop.budgets.size(); ++k) {
    const fit::Budget& b = isoflop.budgets[k];
    report::Series points{report::short_number(b.C)};
    points.shade = count > 1 ? static_cast<double>(k) / (count - 1) : 0;
    for (std::size_t i = 0; i < runs.loss.size(); ++i) {
      const double own = runs.budget.empty() ? runs.column("C")[i] : runs.budget[i];
      if (std::fabs(std::log(own / b.C)) > 0.2) continue;
      points.x.push_back(runs.column("N")[i]), points.y.push_back(runs.loss[i]);
      points.hover.push_back(
          fmt::format("N {:.3g}, D {:.3g}: {:.4f}", runs.column("N")[i], runs.column("D")[i], runs.loss[i]));
    }
    if (points.x.empty()) continue;
    if (!b.parabola.empty()) {
      report::Series line{"", report::Mark::line};
      line.shade = points.shade;
      const auto [low, high] = std::ranges::minmax(points.x);
      for (int i = 0; i <= 40; ++i) {
        const double x = low * std::pow(high / low, i / 40.0), u = std::log(x) - b.parabola[3];
        line.x.push_back(x), line.y.push_back(b.parabola[0] + u * (b.parabola[1] + u * b.parabola[2]));
      }
      figure.series.push_back(std::move(line));
    }
    figure.series.push_back(std::move(points));
  }
  return figure;
}

}  // namespace loglog::studies
