#include "fit/law.hpp"

#include <fmt/format.h>

#include <cmath>

#include "fit/formula_form.hpp"
#include "fit/power_sum.hpp"

namespace loglog::fit {
namespace {

using Jets = std::span<const Jet>;
using Names = std::vector<std::string>;

double element(const Vector& v, int i) {
  return v[static_cast<std::size_t>(i)];
}

Quantity exponential(const std::string& name, int i) {
  return {name, [i](const Vector& theta) { return std::exp(element(theta, i)); }};
}
Quantity identity(const std::string& name, int i) {
  return {name, [i](const Vector& theta) { return element(theta, i); }};
}
// exp(theta_c / theta_e), the scale at which a term exp(c) x^-e is 1: Kaplan's N_c, D_c, C_c.
Quantity scale(const std::string& name, int coefficient, int exponent) {
  return {name, [=](const Vector& theta) {
            return std::exp(element(theta, coefficient) / element(theta, exponent));
          }};
}

std::shared_ptr<const LawForm> power_sum(const Names& variables, const std::vector<Term>& terms,
                                         int exponents, bool outer = false) {
  return std::make_shared<PowerSum>(variables, terms, exponents, outer);
}

Law power_law(const std::string& variable, bool with_floor) {
  const int alpha = with_floor ? 2 : 1;
  std::vector<Term> terms = {{{0, 0}}};
  std::vector<Quantity> params;
  if (with_floor) {
    terms.push_back({});
    params.push_back(exponential("E", 1));
  }
  params.push_back(exponential("A", 0));
  params.push_back(identity("alpha", alpha));
  params.push_back(scale(variable + "_c", 0, alpha));
  return {"power-" + variable + (with_floor ? "-floor" : ""),
          std::string("L = ") + (with_floor ? "E + " : "") + "A / " + variable + "^alpha",
          with_floor ? "Henighan et al. 2020" : "Kaplan et al. 2020",
          {variable},
          power_sum({variable}, terms, 1),
          std::move(params)};
}

// At fixed C = 6 N D the optimum of A/N^alpha + B/D^beta has N ~ C^(beta / (alpha + beta)).
std::vector<Quantity> optimum(std::function<double(const Vector&)> alpha,
                              std::function<double(const Vector&)> beta) {
  return {{"a", [=](const Vector& theta) { return beta(theta) / (alpha(theta) + beta(theta)); }},
          {"b", [=](const Vector& theta) { return alpha(theta) / (alpha(theta) + beta(theta)); }}};
}

Law chinchilla(bool tied) {
  const int beta = tied ? 0 : 1, last = tied ? 3 : 4;
  std::vector<Quantity> params = {exponential("E", 2), exponential("A", 0), identity("alpha", 3),
                                  exponential("B", 1)};
  if (!tied) params.push_back(identity("beta", 4));
  return {tied ? "chinchilla-tied" : "chinchilla",
          tied ? "L = E + A / N^alpha + B / D^alpha" : "L = E + A / N^alpha + B / D^beta",
          "Hoffmann et al. 2022, approach 3",
          {"N", "D"},
          power_sum({"N", "D"}, {{{0, 0}}, {{1, beta}}, {}}, tied ? 1 : 2),
          std::move(params),
          optimum([](const Vector& theta) { return theta[3]; },
                  [last](const Vector& theta) { return element(theta, last); })};
}

// What is left of the form where losses have no floor: a rival that a choice among forms has to beat.
Law chinchilla_without_floor() {
  return {
      "chinchilla-no-floor",
      "L = A / N^alpha + B / D^beta",
      "Hoffmann et al. 2022 with E = 0",
      {"N", "D"},
      power_sum({"N", "D"}, {{{0, 0}}, {{1, 1}}}, 2),
      {exponential("A", 0), identity("alpha", 2), exponential("B", 1), identity("beta", 3)},
      optimum([](const Vector& theta) { return theta[2]; }, [](const Vector& theta) { return theta[3]; })};
}

// L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D; theta = (ratio * ln N_c, ln D_c, ratio, alpha_D).
Law kaplan() {
  return {"kaplan",
          "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D",
          "Kaplan et al. 2020, equation 1.5",
          {"N", "D"},
          power_sum({"N", "D"}, {{{0, 0}}, {{1, kFixedOne}}}, 1, true),
          {scale("N_c", 0, 2),
           {"alpha_N", [](const Vector& theta) { return theta[2] * theta[3]; }},
           exponential("D_c", 1),
           identity("alpha_D", 3)},
          optimum([](const Vector& theta) { return theta[2]; }, [](const Vector&) { return 1.0; })};
}

// S the steps at a batch far above the critical one: S / (1 + B_crit(L) / B).
Law kaplan_steps() {
  return {"kaplan-steps",
          "L = (N_c/N)^alpha_N + (S_c/S)^alpha_S",
          "Kaplan et al. 2020, equation 1.6",
          {"N", "S"},
          power_sum({"N", "S"}, {{{0, 0}}, {{1, 1}}}, 2),
          {scale("N_c", 0, 2), identity("alpha_N", 2), scale("S_c", 1, 3), identity("alpha_S", 3)}};
}

Law critical_batch() {
  return {"critical-batch",
          "B_crit = B_star / L^(1/alpha_B)",
          "Kaplan et al. 2020, equation 5.3",
          {"L"},
          power_sum({"L"}, {{{0, 0}}}, 1),
          {exponential("B_star", 0), {"alpha_B", [](const Vector& theta) { return 1 / theta[1]; }}},
          {},
          "B_crit"};
}

Law of_formula(std::string name, std::string formula, std::string source, Names variables,
               std::vector<ParameterRange> parameters, FormulaForm::Formula loss,
               std::string response = "loss") {
  const auto form = std::make_shared<FormulaForm>(static_cast<int>(variables.size()), std::move(parameters),
                                                  std::move(loss));
  std::vector<Quantity> params;
  for (int i = 0; i < form->parameter_count(); ++i)
    params.push_back(
        {form->parameter_name(i), [form, i](const Vector& theta) { return form->value_of(theta, i); }});
  return {std::move(name),
          std::move(formula),
          std::move(source),
          std::move(variables),
          form,
          std::move(params),
          {},
          std::move(response)};
}

ParameterRange coefficient(const std::string& name) {
  return {.name = name, .coefficient = true};
}
ParameterRange exponent(const std::string& name) {
  return {.name = name};
}

// Each break at d bends the exponent by c, over a width f in ln x. d2 is held as its distance from d1 in logs, so that breaks cannot change
// places.
Law broken(const std::string& variable, int breaks) {
  std::vector<ParameterRange> parameters = {coefficient("E"), coefficient("A"), exponent("c0")};
  std::string formula = fmt::format("L = E + A {}^-c0", variable);
  for (int i = 1; i <= breaks; ++i) {
    parameters.push_back({.name = fmt::format("c{}", i), .positive = false, .low = -0.8, .high = 0.8});
    if (i == 1)
      parameters.push_back({.name = "d1", .low = 0.1, .high = 0.9, .variable = 0});
    else
      parameters.push_back({.name = "ln(d2/d1)", .low = 0.5, .high = 8});
    parameters.push_back({.name = fmt::format("f{}", i), .low = 0.05, .high = 1});
    formula += fmt::format(" (1 + ({}/d{})^(1/f{}))^(-c{} f{})", variable, i, i, i, i);
  }
  Law law = of_formula(fmt::format("broken-{}-{}", variable, breaks), formula, "Caballero et al. 2023",
                       {variable}, std::move(parameters), [breaks](Jets p, Jets x) {
                         Jet log_power = -(p[2] * log(x[0])), place(0);
                         for (int i = 0; i < breaks; ++i) {
                           const auto k = static_cast<std::size_t>(3 + 3 * i);
                           const Jet &c = p[k], &f = p[k + 2];
                           place = i == 0 ? log(p[k + 1]) : place + p[k + 1];
                           const Jet z = (log(x[0]) - place) / f;  // ln(1 + e^z) without overflow
                           const Jet soft = z.value() > 0 ? z + log(1 + exp(-z)) : log(1 + exp(z));
                           log_power = log_power - c * f * soft;
                         }
                         return p[0] + p[1] * exp(log_power);
                       });
  if (breaks == 2)
    law.params[7] = {"d2", [](const Vector& theta) { return std::exp(theta[4] + std::exp(theta[7])); }};
  return law;
}

// t = ln(L - E) with t - a ln(excess - e^t) = target: it rises from -inf to inf as t goes from -inf to ln(excess). Newton's steps, halved where
// they leave what is known to hold the root.
double m4_root(double excess, double a, double target) {
  double low = std::min(std::log(excess), target + a * std::log(excess)) - 1, high = std::log(excess);
  double t = (low + high) / 2;
  constexpr double kNear = 1e-7;
  for (int i = 0; i < 100; ++i) {
    const double rest = excess - std::exp(t), off = t - a * std::log(rest) - target;
    (off < 0 ? low : high) = t;
    const double next = t - off / (1 + a * std::exp(t) / rest);
    const double middle = (low + high) / 2, moved = next > low && next < high ? next : middle;
    const bool is_near =
        std::abs(moved - t) <= kNear * std::min(1.0, rest);  // the law's own steps square what is left
    t = moved;
    if (is_near) break;
  }
  return t;
}

// Alabdulmohsin et al. 2022, equation 5: (L - E) / (E0 - L)^a = b x^-c, solved for L.
Law m4(const std::string& variable) {
  return of_formula("m4-" + variable, fmt::format("(L - E) / (E0 - L)^a = b {}^-c", variable),
                    "Alabdulmohsin et al. 2022", {variable},
                    {{.name = "E", .low = 0.05, .high = 5},
                     {.name = "excess", .low = 0.5, .high = 20},
                     {.name = "a", .low = 0.05, .high = 3},
                     {.name = "b", .low = 0.1, .high = 1e4},
                     exponent("c")},
                    [](Jets p, Jets x) {
                      const Jet target = log(p[3]) - p[4] * log(x[0]);  // of ln(L - E) - a ln(E0 - L)
                      const auto excess_of = [&](const Jet& t) { return t - p[2] * log(p[1] - exp(t)); };
                      Jet t = m4_root(p[1].value(), p[2].value(), target.value());
                      // Two steps of Newton on jets: the first is exact in the first derivatives, the second in the second ones.
                      for (int i = 0; i < 2; ++i) {
                        const Jet slope = 1 + p[2] * exp(t) / (p[1] - exp(t));
                        t = t - (excess_of(t) - target) / slope;
                      }
                      return p[0] + exp(t);
                    });
}

// U unique tokens seen D / U times: repeated ones are worth less and less (R* = R epochs' worth at most).
Law repeated_data() {
  return of_formula("repeated-data", "L = E + A/N^alpha + B/D'^beta, D' = U + U R (1 - exp(-(D/U - 1)/R))",
                    "Muennighoff et al. 2023, equation 5", {"N", "D", "U"},
                    {coefficient("E"),
                     coefficient("A"),
                     coefficient("B"),
                     {.name = "alpha", .low = 0.05, .high = 1},
                     {.name = "beta", .low = 0.05, .high = 1},
                     {.name = "R", .low = 0.5, .high = 200}},
                    [](Jets p, Jets x) {
                      const Jet again = x[1] / x[2] - 1;
                      const Jet worth = x[2] + x[2] * p[5] * (1 - exp(-(again / p[5])));
                      return p[0] + p[1] * exp(-(p[3] * log(x[0]))) + p[2] * exp(-(p[4] * log(worth)));
                    });
}

// chinchilla-tied in C and M = D/N: at each C the excess is least at M = (b/a)^(1/(2 eta)), and how much worse another M is does not depend on C.
Law over_training() {
  return of_formula(
      "over-training", "L = E + (a M^eta + b M^-eta) C^-eta", "Gadre et al. 2024, equation 4", {"C", "M"},
      {coefficient("E"), coefficient("a"), coefficient("b"), {.name = "eta", .low = 0.01, .high = 1}},
      [](Jets p, Jets x) {
        const Jet c = log(x[0]), m = log(x[1]);
        return p[0] + p[1] * exp(p[3] * (m - c)) + p[2] * exp(-(p[3] * (m + c)));
      });
}

Law transfer() {
  const auto plain_number = [](const char* name) {
    return ParameterRange{.name = name, .positive = false, .low = -1, .high = 1};
  };
  return of_formula(
      "transfer", "D_T = k D_F^a N^b", "Hernandez et al. 2021, equation 1.1", {"D_F", "N"},
      {{.name = "k", .low = 1e-3, .high = 1e9}, plain_number("a"), plain_number("b")},
      [](Jets p, Jets x) { return p[0] * exp(p[1] * log(x[0]) + p[2] * log(x[1])); }, "D_T");
}

// L_i and L_j: the losses of either kind of data alone, by their own laws; C what two kinds gain, or lose, from each other.
Law mixed_modal() {
  return of_formula("mixed-modal", "L = (L_i + L_j)/2 - C + A/N^alpha + B/D^beta",
                    "Aghajanyan et al. 2023, equation 4", {"N", "D", "L_i", "L_j"},
                    {{.name = "C", .positive = false, .low = -1, .high = 1},
                     coefficient("A"),
                     coefficient("B"),
                     {.name = "alpha", .low = 0.05, .high = 1},
                     {.name = "beta", .low = 0.05, .high = 1}},
                    [](Jets p, Jets x) {
                      return (x[2] + x[3]) / 2 - p[0] + p[1] * exp(-(p[3] * log(x[0]))) +
                             p[2] * exp(-(p[4] * log(x[1])));
                    });
}

Law routed() {
  const auto plain_number = [](const char* name) {
    return ParameterRange{.name = name, .positive = false, .low = -0.5, .high = 0.5};
  };
  return of_formula("routed", "ln L = a ln N + b ln X + c ln N ln X + d",
                    "Clark et al. 2022, equation 7; X experts", {"N", "X"},
                    {plain_number("a"), plain_number("b"), plain_number("c"), plain_number("d")},
                    [](Jets p, Jets x) {
                      const Jet n = log(x[0]), e = log(x[1]);
                      return exp(p[0] * n + p[1] * e + p[2] * n * e + p[3]);
                    });
}

}  // namespace

const std::vector<Law>& laws() {
  static const std::vector<Law> list = {
      power_law("N", false),
      power_law("N", true),
      power_law("D", false),
      power_law("D", true),
      power_law("C", false),
      power_law("C", true),
      chinchilla(false),
      chinchilla(true),
      chinchilla_without_floor(),
      kaplan(),
      kaplan_steps(),
      critical_batch(),
      broken("N", 1),
      broken("N", 2),
      broken("D", 1),
      broken("D", 2),
      broken("C", 1),
      broken("C", 2),
      m4("N"),
      m4("D"),
      repeated_data(),
      over_training(),
      transfer(),
      mixed_modal(),
      routed(),
  };
  return list;
}

const Law* find_law(std::string_view name) {
  for (const Law& law : laws()) {
    if (law.name == name) return &law;
  }
  return nullptr;
}

double predict(const Law& law, const Vector& theta, std::span<const double> x) {
  std::vector<double> log_x;
  for (const double value : x) log_x.push_back(std::log(value));
  return std::exp(law.form->log_loss(theta, log_x.data(), nullptr, nullptr));
}

}  // namespace loglog::fit
