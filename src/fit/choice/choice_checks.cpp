#include "fit/choice/choice_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "fit/choice/choose.hpp"
#include "fit/profile.hpp"

namespace loglog::fit {
namespace {

using Requirements = std::vector<Requirement>;

constexpr double kLeastSquares = 10;  // a delta beyond every residual of ln L

Requirement at_most(const std::string& what, double got, double most) {
  return {what, fmt::format("at most {:.7g}", most), got, got <= most};
}
Requirement is_so(const std::string& what, bool so) {
  return {what, "yes", so ? 1.0 : 0.0, so};
}

std::vector<const Law*> laws_named(const std::vector<std::string>& names) {
  std::vector<const Law*> list;
  for (const std::string& name : names) list.push_back(find_law(name));
  return list;
}

bool is_undecided_between(const Choice& choice, std::vector<std::string> names) {
  std::vector<std::string> found = choice.undecided;
  std::ranges::sort(found), std::ranges::sort(names);
  return choice.winner.empty() && found == names;
}

double rmse_of(const Choice& choice, const std::string& law) {
  return std::ranges::find(choice.ranked, law, &CandidateLaw::law)->log_rmse;
}

// Fitted below 1e21 FLOPs, judged from there on.
Requirements chinchilla_forms(const Path& file) {
  Table table = Table::read_csv(file);
  table.rename("Model Size", "N");
  table.rename("Training FLOP", "C");
  table.derive("D=C/(6*N)");
  ChooseOptions options;
  options.plan = holdout_named("C<1e21");
  options.surface.delta = 1e-3;
  options.drop_highest = 5;
  const Choice choice =
      choose(table, laws_named({"chinchilla", "chinchilla-tied", "kaplan", "chinchilla-no-floor"}), options);
  return {at_most("held-out log-RMSE, free exponents", rmse_of(choice, "chinchilla"), .0126),
          at_most("held-out log-RMSE, tied exponents", rmse_of(choice, "chinchilla-tied"), .0102),
          is_so("Kaplan's form and the one without a floor are worse",
                choice.ranked[2].to_best.decided && choice.ranked[3].to_best.decided),
          is_so("undecided between free and tied exponents",
                is_undecided_between(choice, {"chinchilla", "chinchilla-tied"}))};
}

// Seeds of a size averaged; six sizes.
Requirements clark_floor(const Path& file) {
  const Table all = Table::read_csv(file);
  const std::vector<double> flop_increase = all.numbers("flop_increase"),
                            sizes = all.numbers("dense_parameter_count"),
                            losses = all.numbers("loss_validation");
  std::map<double, std::vector<double>> by_size;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (flop_increase[i] == 1) by_size[sizes[i]].push_back(losses[i]);
  std::vector<double> N, loss;
  for (const auto& [size, values] : by_size) N.push_back(size), loss.push_back(mean(values));
  Table table("Clark et al. 2022");
  table.add("N", N);
  table.add("loss", loss);
  ChooseOptions options;
  options.plan = holdout_named("expanding");
  options.surface.delta = kLeastSquares;
  return {is_so("undecided between offset and none",
                is_undecided_between(choose(table, laws_named({"power-N", "power-N-floor"}), options),
                                     {"power-N", "power-N-floor"}))};
}

// A curve of losses against examples seen, cut where the benchmark cuts it.
struct Curve {
  std::string domain;
  std::vector<double> D, loss, beyond_D, beyond_loss;
  Table fitted() const {
    Table table(domain);
    table.add("D", D);
    table.add("loss", loss);
    return table;
  }
};

std::vector<Curve> read_curves(const Path& file) {
  const Table all = Table::read_csv(file);
  const std::vector<double> x = all.numbers("Seen Examples"), y = all.numbers("Loss"),
                            training = all.numbers("Training");
  std::map<std::tuple<std::string, std::string, std::string>, Curve> curves;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Curve& curve = curves[{all.texts("Domain")[i], all.texts("Task")[i], all.texts("Model")[i]}];
    curve.domain = all.texts("Domain")[i];
    (training[i] == 1 ? curve.D : curve.beyond_D).push_back(x[i]);
    (training[i] == 1 ? curve.loss : curve.beyond_loss).push_back(y[i]);
  }
  std::vector<Curve> list;
  for (auto& [name, curve] : curves) list.push_back(std::move(curve));
  return list;
}

// As the benchmark has it, a floor is no higher than any loss that was seen.
Vector fitted_theta(const Law& law, const Runs& runs) {
  const FitResult fit = fit_surface(law, runs, {kLeastSquares, {IntervalKind::automatic, 0}});
  const double least = *std::ranges::min_element(runs.loss);
  if (fit.params[0].name != "E" || fit.params[0].value <= least) return fit.theta;
  const Points points(law, runs.columns, runs.loss);
  const auto held = constrained_fit(points, runs.weight, {kLeastSquares},
                                    law.form->centre(fit.theta, points.centres()), law.params[0], least);
  if (!held) throw InputError("no fit with the floor at the least loss");
  return law.form->restore(held->theta, points.centres());
}

double error_beyond(const Curve& curve, const std::string& name) {
  const Law& law = *find_law(name);
  const Vector theta = fitted_theta(law, select_runs(curve.fitted(), {{"D"}}));
  double squares = 0;
  for (std::size_t i = 0; i < curve.beyond_D.size(); ++i)
    squares +=
        std::pow(std::log(predict(law, theta, std::vector{curve.beyond_D[i]}) / curve.beyond_loss[i]), 2);
  return std::sqrt(squares / static_cast<double>(curve.beyond_D.size()));
}

// The law that the fitted part of a curve chooses: the winner, else the best of the undecided ones.
std::string chosen(const Curve& curve) {
  ChooseOptions options;
  options.plan = holdout_named("expanding");
  options.surface.delta = kLeastSquares;
  options.resamples = 0;  // the order alone
  return choose(curve.fitted(), laws_named({"power-D", "power-D-floor"}), options).ranked.front().law;
}

Requirements language_curves(const Path& file) {
  std::vector<double> with_floor, of_language_models, automatic;
  for (const Curve& curve : read_curves(file)) {
    with_floor.push_back(error_beyond(curve, "power-D-floor"));
    if (curve.domain == "LM") of_language_models.push_back(with_floor.back());
    automatic.push_back(error_beyond(curve, chosen(curve)));
  }
  return {at_most("mean log-RMSE beyond, with an offset", mean(with_floor), .0170),
          at_most("of language models", mean(of_language_models), .00115),
          at_most("automatic choice", mean(automatic), .0170)};
}

}  // namespace

std::vector<AccuracyCheck> choice_checks() {
  return {
      {"P10", "offset or none on Clark's six sizes", "dense_clark/dense_final.csv", clark_floor},
      {"P11", "20 learning curves, extrapolated", "learning_curves_language/revisiting_lang.csv",
       language_curves},
      {"P16", "forms on the digitised runs, fitted below 1e21 FLOPs",
       "chinchilla_svg245/svg_extracted_data.csv", chinchilla_forms},
  };
}

}  // namespace loglog::fit
