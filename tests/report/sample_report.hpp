// A small sweep with a known law, for tests of the page.
#pragma once
#include <cmath>

#include "report/sweep_report.hpp"

namespace loglog::report {

inline double sample_law(double n, double d) {
  return 1.2 + 12 / std::pow(n, 0.4) + 60 / std::pow(d, 0.4);
}

// `sizes` sizes from 3k parameters on, a third of a decade apart, at four budgets each.
inline SweepReport sample_report(int sizes = 5) {
  SweepReport report;
  report.title = "A sample sweep";
  report.floor = {1.21, 1.2, {}};
  for (int b = 0; b < 4; ++b) {
    const double budget = 1e10 * std::pow(4, b);
    for (int s = 0; s < sizes; ++s) {
      ReportRun run;
      run.n = std::round(3000 * std::pow(10, s / 3.0));
      run.c = run.budget = budget;
      run.d = budget / (6 * run.n);
      run.size = "s" + std::to_string(s);
      run.name = run.size + "/b" + std::to_string(b);
      run.state = "done";
      run.seconds = 1.5;
      run.loss = sample_law(run.n, run.d) * (1 + 0.003 * std::sin(7.0 * s + 3.0 * b));
      for (int i = 1; i <= 200; ++i) {
        const double tokens = run.d * i / 200;
        run.curve.push_back({tokens, sample_law(run.n, tokens) * (1 + 0.02 * std::sin(37.0 * i)), {}});
      }
      report.runs.push_back(run);
    }
  }
  LawFit law{"chinchilla", "L = E + A/N^alpha + B/D^beta", "Hoffmann et al. 2022"};
  law.runs = report.runs.size();
  law.params = {{"E", {1.2, 1.17, 1.23}},
                {"A", {12, 10, 15}},
                {"alpha", {0.4, 0.37, 0.43}},
                {"B", {60, 40, 90}},
                {"beta", {0.4, 0.36, 0.44}}};
  law.optimum = {{"a", {0.5, 0.47, 0.53}}, {"b", {0.5, 0.47, 0.53}}};
  law.variables = {"N", "D"};
  law.predict = [](const std::vector<double>& x) { return sample_law(x[0], x[1]); };
  law.certificate = {{"objective", "1.2e-3"}, {"condition", "35"}};
  law.json = {{"law", "chinchilla"}, {"params", {{"E", {{"value", 1.2}}}}}};
  LawFit isoflop{"isoflop", "ln N_opt = a ln C + const", "Hoffmann et al. 2022, approach 2"};
  isoflop.runs = report.runs.size();
  isoflop.optimum = {{"a", {0.49, 0.4, 0.58}}};
  for (int b = 0; b < 4; ++b) {
    const double c = 1e10 * std::pow(4, b);
    const double best = 0.0546 * std::sqrt(c);
    const double loss = sample_law(best, c / 6 / best);
    isoflop.budgets.push_back(
        {c, [=](double n) { return loss + 0.08 * (loss - 1.2) * std::pow(std::log(n / best), 2); },
         b == 0 ? std::nullopt : std::optional<Estimate>({best, best / 1.2, best * 1.2}), loss,
         b == 0 ? "no minimum between its sizes" : ""});
    law.frontier.push_back({c, {best * 1.1, best * 0.9, best * 1.3}});
    isoflop.frontier.push_back({c, {best, best * 0.8, best * 1.25}});
  }
  report.fits = {law, isoflop};
  report.commands = {"loglog sweep run sample.toml", "loglog report sample.db -o report.html"};
  return report;
}

}  // namespace loglog::report
