// What the page shows, as data. Colour is size (or budget) everywhere, from indigo for the smallest to magenta.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/sweep_report.hpp"

namespace loglog::report {
namespace {

constexpr double kSameBudget = 0.2;     // steps come in whole numbers, so runs of a budget differ in FLOPs
constexpr int kLineSteps = 80;          // points of a drawn law
constexpr std::size_t kCurveBins = 30;  // points of a drawn loss curve: ten a decade

using Shades = std::map<double, double>;  // value -> place on the ramp

Shades shades_of(const std::set<double>& values) {
  Shades shades;
  double place = 0;
  const double step = values.size() > 1 ? 1.0 / static_cast<double>(values.size() - 1) : 0;
  for (const double value : values) {
    shades[value] = place;
    place += step;
  }
  return shades;
}

Shades size_shades(const SweepReport& report) {
  std::set<double> sizes;
  for (const ReportRun& run : report.runs) sizes.insert(run.n);
  return shades_of(sizes);
}

bool is_used(const ReportRun& run) {
  return run.loss && run.excluded.empty();
}

std::string hover_of(const ReportRun& run) {
  return fmt::format("{}: N {}, D {}, loss {:.4f}", run.name, short_number(run.n), short_number(run.d),
                     run.loss.value_or(NAN));
}

void add_point(Series& series, double x, double y, std::string hover) {
  series.x.push_back(x);
  series.y.push_back(y);
  series.hover.push_back(std::move(hover));
}

// Points at equal distances of ln x.
std::vector<double> log_steps(double low, double high) {
  std::vector<double> steps;
  for (int i = 0; i <= kLineSteps; ++i) {
    steps.push_back(low * std::pow(high / low, static_cast<double>(i) / kLineSteps));
  }
  return steps;
}

// A loss curve against the FLOPs spent. Validation losses where a run has a curve of them; else training
// losses, averaged over bins of equal width in ln C, since a single batch says little.
Series curve_of(const ReportRun& run) {
  Series series{"", Mark::line};
  const double flops_per_token = run.c / run.d;
  const auto measured = std::count_if(run.curve.begin(), run.curve.end(),
                                      [](const CurvePoint& p) { return p.val_loss.has_value(); });
  if (measured >= 4) {
    for (const CurvePoint& point : run.curve) {
      if (!point.val_loss) continue;
      series.x.push_back(point.tokens * flops_per_token);
      series.y.push_back(*point.val_loss);
    }
    return series;
  }
  const double last = run.curve.empty() ? 0 : std::log(std::max(run.curve.back().tokens, 1.0));
  const double width = 7.0 / static_cast<double>(kCurveBins);  // three decades before the end
  std::map<long, std::array<double, 3>> bins;                  // ln C, loss, count
  for (const CurvePoint& point : run.curve) {
    if (!point.train_loss || !(point.tokens > 0)) continue;
    auto& bin = bins[std::lround((std::log(point.tokens) - last) / width)];
    bin[0] += std::log(point.tokens * flops_per_token);
    bin[1] += *point.train_loss;
    bin[2] += 1;
  }
  for (const auto& [key, bin] : bins) {
    series.x.push_back(std::exp(bin[0] / bin[2]));
    series.y.push_back(bin[1] / bin[2]);
  }
  return series;
}

// Where the first of the lines comes down to `high`.
double first_below(const std::vector<Series>& lines, double high) {
  double first = INFINITY;
  for (const Series& line : lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (line.y[i] <= high) first = std::min(first, line.x[i]);
    }
  }
  return first;
}

Figure loss_curves(const SweepReport& report) {
  Figure figure{"loss-curves", "Loss curves", "", {"training FLOPs C", true}, {"loss, nats per token"}};
  figure.caption =
      "Loss against compute, one line per run, coloured by size; dots are the final validation losses that "
      "the laws are fitted to. Hover over a dot for its run.";
  const Shades shades = size_shades(report);
  std::map<double, Series> ends;
  double highest = 0;
  double lowest = INFINITY;
  for (const ReportRun& run : report.runs) {
    Series line = curve_of(run);
    line.shade = shades.at(run.n);
    if (line.x.size() > 1) figure.series.push_back(std::move(line));
    if (!run.loss) continue;
    Series& dots = ends[run.n];
    dots.label = short_number(run.n);
    dots.shade = shades.at(run.n);
    add_point(dots, run.c, *run.loss, hover_of(run));
    highest = std::max(highest, *run.loss);
    lowest = std::min(lowest, *run.loss);
  }
  if (figure.series.empty()) return {};
  if (highest > 0) {  // the fall from ln V would squeeze everything else
    figure.y.high = highest * 1.35;
    figure.y.low = lowest - 0.05 * (*figure.y.high - lowest);
    const double first = first_below(figure.series, *figure.y.high);
    if (std::isfinite(first)) figure.x.low = first;
  }
  for (auto& [n, dots] : ends) figure.series.push_back(std::move(dots));
  figure.legend_title = std::string("N");
  return figure;
}

// The budget nearest to what the run spent, or null when none is near.
const IsoflopBudget* budget_of(const ReportRun& run, const LawFit& fit) {
  const auto distance = [&](const IsoflopBudget& b) { return std::abs(std::log(run.c / b.budget)); };
  const auto nearest =
      std::min_element(fit.budgets.begin(), fit.budgets.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  return nearest != fit.budgets.end() && distance(*nearest) < kSameBudget ? &*nearest : nullptr;
}

Figure isoflop_parabolas(const SweepReport& report, const LawFit& fit) {
  Figure figure{fit.law, "Loss at equal compute", "", {"parameters N", true}, {"loss, nats per token"}};
  figure.caption =
      "Each colour is one compute budget: runs, the parabola in ln N through them, and its minimum as a "
      "ring. "
      "Budgets without a ring have no usable minimum and take no part in the exponent.";
  std::set<double> budgets;
  for (const IsoflopBudget& budget : fit.budgets) budgets.insert(budget.budget);
  const Shades shades = shades_of(budgets);
  for (const IsoflopBudget& budget : fit.budgets) {
    Series points{short_number(budget.budget)};
    for (const ReportRun& run : report.runs) {
      if (is_used(run) && budget_of(run, fit) == &budget) add_point(points, run.n, *run.loss, hover_of(run));
    }
    if (points.x.empty()) continue;
    points.shade = shades.at(budget.budget);
    const auto [low, high] = std::minmax_element(points.x.begin(), points.x.end());
    Series parabola{"", budget.best_n ? Mark::line : Mark::dashed_line};
    parabola.shade = points.shade;
    if (budget.loss && *low < *high) {
      parabola.x = log_steps(*low, *high);
      for (const double n : parabola.x) parabola.y.push_back(budget.loss(n));
    }
    figure.series.push_back(std::move(points));
    if (!parabola.x.empty()) figure.series.push_back(std::move(parabola));
    if (!budget.best_n) continue;
    Series minimum{"", Mark::rings};
    minimum.shade = shades.at(budget.budget);
    add_point(
        minimum, budget.best_n->value, budget.best_loss,
        fmt::format("budget {}: best N {}", short_number(budget.budget), short_number(budget.best_n->value)));
    figure.series.push_back(std::move(minimum));
  }
  figure.legend_title = std::string("FLOPs");
  return figure.series.empty() ? Figure{} : figure;
}

bool has_parabolas(const LawFit& fit) {
  return std::any_of(fit.budgets.begin(), fit.budgets.end(),
                     [](const IsoflopBudget& budget) { return budget.loss != nullptr; });
}

double variable_of(const ReportRun& run, const std::string& name) {
  return name == "N" ? run.n : name == "D" ? run.d : run.c;
}

const char* axis_label(const std::string& variable) {
  if (variable == "N") return "parameters N";
  return variable == "D" ? "training tokens D" : "training FLOPs C";
}

// The law's variable on the horizontal axis; the other one, if there is one, becomes colour.
std::string abscissa(const LawFit& fit) {
  const auto& names = fit.variables;
  return std::find(names.begin(), names.end(), "D") != names.end() ? "D" : names.front();
}

std::vector<double> inputs(const LawFit& fit, const ReportRun& run, double x) {
  std::vector<double> values;
  for (const std::string& name : fit.variables) {
    values.push_back(name == abscissa(fit) ? x : variable_of(run, name));
  }
  return values;
}

Figure law_against_runs(const SweepReport& report, const LawFit& fit) {
  const std::string across = abscissa(fit);
  Figure figure{"law-" + fit.law,
                fit.law + " against the runs",
                "",
                {axis_label(across), true},
                {"loss, nats per token"}};
  figure.caption = fmt::format("Dots are runs, lines the fitted law {}{}.", fit.formula,
                               fit.variables.size() > 1 ? ", one per size" : "");
  const Shades shades = size_shades(report);
  std::map<double, std::vector<const ReportRun*>> groups;
  for (const ReportRun& run : report.runs) {
    if (is_used(run)) groups[fit.variables.size() > 1 ? run.n : 0].push_back(&run);
  }
  double low = INFINITY;
  double high = 0;
  for (const auto& [n, runs] : groups) {
    for (const ReportRun* run : runs) {
      low = std::min(low, variable_of(*run, across));
      high = std::max(high, variable_of(*run, across));
    }
  }
  for (const auto& [n, runs] : groups) {
    Series points{n > 0 ? short_number(n) : "runs"};
    Series line{n > 0 ? "" : "law", Mark::line};
    if (n > 0) points.shade = line.shade = shades.at(n);
    for (const ReportRun* run : runs) {
      add_point(points, variable_of(*run, across), *run->loss, hover_of(*run));
    }
    line.x = log_steps(low / 1.15, high * 1.15);
    for (const double x : line.x) line.y.push_back(fit.predict(inputs(fit, *runs.front(), x)));
    figure.series.push_back(std::move(points));
    figure.series.push_back(std::move(line));
  }
  if (groups.size() > 1) figure.legend_title = std::string("N");
  return figure.series.empty() ? Figure{} : figure;
}

Figure frontier(const SweepReport& report) {
  Figure figure{"frontier", "Best size for a budget", "", {"training FLOPs C", true}, {"parameters N", true}};
  figure.caption = "N_opt(C) with its 95% band.";
  int colour = 0;
  bool rings = false;
  for (const LawFit& fit : report.fits) {
    if (fit.frontier.empty() || !fit.identified) continue;
    Series band{"", Mark::band, colour};
    Series line{fit.law, Mark::line, colour};
    for (const FrontierPoint& point : fit.frontier) {
      line.x.push_back(point.c);
      line.y.push_back(point.n.value);
      if (!point.n.bounded()) continue;
      band.x.push_back(point.c);
      band.y.push_back(point.n.lo);
      band.y2.push_back(point.n.hi);
    }
    Series minima{"", Mark::rings, colour};
    for (const IsoflopBudget& budget : fit.budgets) {
      if (!budget.best_n) continue;
      add_point(minima, budget.budget, budget.best_n->value,
                fmt::format("budget {}: best N {}", short_number(budget.budget), in_words(*budget.best_n)));
      if (!budget.best_n->bounded()) continue;
      figure.series.push_back(
          {"", Mark::line, colour, {budget.budget, budget.budget}, {budget.best_n->lo, budget.best_n->hi}});
    }
    if (!band.x.empty()) figure.series.insert(figure.series.begin(), std::move(band));
    figure.series.push_back(std::move(line));
    rings = rings || !minima.x.empty();
    if (!minima.x.empty()) figure.series.push_back(std::move(minima));
    ++colour;
  }
  if (rings) figure.caption += " Rings are the minima of the parabolas, with their intervals.";
  return figure.series.empty() ? Figure{} : figure;
}

Figure residuals(const SweepReport& report, const LawFit& fit) {
  const std::string across = abscissa(fit);
  Figure figure{"residuals-" + fit.law,
                "What " + fit.law + " leaves over",
                "",
                {axis_label(across), true},
                {"observed / fitted - 1, percent"}};
  figure.caption =
      "Residuals should scatter about zero without a trend in any colour; a bend is a wrong law.";
  const Shades shades = size_shades(report);
  std::map<double, Series> sizes;
  double low = INFINITY;
  double high = 0;
  for (const ReportRun& run : report.runs) {
    if (!is_used(run)) continue;
    const double x = variable_of(run, across);
    low = std::min(low, x);
    high = std::max(high, x);
    Series& points = sizes[run.n];
    points.label = short_number(run.n);
    points.shade = shades.at(run.n);
    add_point(points, x, 100 * (*run.loss / fit.predict(inputs(fit, run, x)) - 1), hover_of(run));
  }
  if (sizes.empty()) return {};
  figure.series.push_back({"", Mark::dashed_line, 6, {low, high}, {0, 0}});
  for (auto& [n, points] : sizes) figure.series.push_back(std::move(points));
  figure.legend_title = std::string("N");
  return figure;
}

}  // namespace

std::vector<Figure> figures(const SweepReport& report) {
  std::vector<Figure> all;
  const auto add = [&all](Figure figure) {
    if (!figure.series.empty()) all.push_back(std::move(figure));
  };
  add(loss_curves(report));
  for (const LawFit& fit : report.fits) {
    if (has_parabolas(fit)) add(isoflop_parabolas(report, fit));
  }
  for (const LawFit& fit : report.fits) {
    if (fit.predict) add(law_against_runs(report, fit));
  }
  add(frontier(report));
  for (const LawFit& fit : report.fits) {
    if (fit.predict) add(residuals(report, fit));
  }
  return all;
}

}  // namespace loglog::report
