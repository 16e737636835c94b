// Scaling laws as data. Adding one is one entry of the list in law.cpp: its form, and what of theta the user sees.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fit/law_form.hpp"

namespace loglog::fit {

// A number that the user sees, made of the uncentred theta.
struct Quantity {
  std::string name;
  std::function<double(const Vector& theta)> value;
};

struct Law {
  std::string name;
  std::string formula;                 // as the literature writes it
  std::string source;                  // who proposed it
  std::vector<std::string> variables;  // the columns it needs besides its response
  std::shared_ptr<const LawForm> form;
  std::vector<Quantity> params;  // in the order of the output
  std::vector<Quantity> optimum =
      {};                         // exponents a of N_opt ~ C^a and b of D_opt ~ C^b where the law has them
  std::string response = "loss";  // the column that it predicts

  int parameter_count() const { return form->parameter_count(); }
};

const std::vector<Law>& laws();
const Law* find_law(std::string_view name);  // null when there is none

// A law from a formula that a user writes, "L = E + A / N^alpha + B / D^beta": names of `columns` are variables, the others parameters. Those in
// which it is linear are coefficients, the rest positive numbers that are looked for between 0.01 and 10, or where `ranges` says:
// "R=1:100". UsageError names what is wrong.
Law law_of_formula(const std::string& formula, const std::vector<std::string>& columns,
                   const std::vector<std::string>& ranges);

// Loss that the law predicts; x in the units of the data.
double predict(const Law& law, const Vector& theta, std::span<const double> x);

}  // namespace loglog::fit
