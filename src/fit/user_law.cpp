// A law from a formula that a user writes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/expression.hpp"
#include "base/rng.hpp"
#include "fit/formula_form.hpp"
#include "fit/law.hpp"

namespace loglog::fit {
namespace {

// "NAME=LOW:HIGH"
ParameterRange range_of(const std::string& text) {
  const std::size_t equals = text.find('='), colon = text.find(':');
  ParameterRange range{.name = text.substr(0, std::min(equals, text.size())), .low = NAN, .high = NAN};
  const auto number = [&](std::size_t from, std::size_t to) {
    double value = NAN;
    const auto parsed = std::from_chars(text.data() + from, text.data() + to, value);
    return parsed.ptr == text.data() + to ? value : NAN;
  };
  if (equals != std::string::npos && colon != std::string::npos && equals < colon)
    range.low = number(equals + 1, colon), range.high = number(colon + 1, text.size());
  if (range.name.empty() || !(range.low < range.high) || std::isinf(range.low) || std::isinf(range.high))
    throw UsageError(fmt::format("--start '{}': write NAME=LOW:HIGH, for example R=1:100", text));
  range.positive = range.low > 0;
  return range;
}

// A formula's names, each of which is a column of the data or a parameter.
struct Names {
  struct Place {
    bool is_variable;
    std::size_t index;
  };
  std::vector<Place> places;  // of the expression's variables
  std::vector<std::string> variables, parameters;
};

Names names_of(const Expression& expression, const std::vector<std::string>& columns) {
  Names names;
  for (const std::string& name : expression.variables()) {
    const bool is_variable = std::ranges::find(columns, name) != columns.end();
    std::vector<std::string>& list = is_variable ? names.variables : names.parameters;
    names.places.push_back({is_variable, list.size()});
    list.push_back(name);
  }
  return names;
}

// The largest set of parameters, in their order, in which the loss is linear together: no second derivatives, wherever one looks.
std::vector<bool> coefficients_of(const FormulaForm::Formula& loss, std::size_t variables,
                                  std::size_t parameters) {
  constexpr std::uint64_t kPlaces = 5;
  std::vector<std::vector<bool>> bends(parameters, std::vector<bool>(parameters, false));
  for (std::uint64_t place = 0; place < kPlaces; ++place) {
    const Rng rng(7, place);
    std::vector<Jet> p, x;
    for (std::size_t i = 0; i < parameters; ++i)
      p.push_back(Jet::variable(0.2 + rng.uniform(i), static_cast<int>(i)));
    for (std::size_t v = 0; v < variables; ++v) x.push_back(Jet(1.5 + rng.uniform(100 + v)));
    const Jet value = loss(p, x);
    for (std::size_t i = 0; i < parameters; ++i)
      for (std::size_t j = 0; j < parameters; ++j)
        bends[i][j] = bends[i][j] || !(value.hessian(static_cast<int>(i), static_cast<int>(j)) == 0);
  }
  std::vector<bool> chosen(parameters, false);
  for (std::size_t i = 0; i < parameters; ++i) {
    chosen[i] = !bends[i][i];
    for (std::size_t j = 0; j < i; ++j) chosen[i] = chosen[i] && !(chosen[j] && bends[i][j]);
  }
  return chosen;
}

}  // namespace

Law law_of_formula(const std::string& formula, const std::vector<std::string>& columns,
                   const std::vector<std::string>& ranges) {
  const std::size_t equals = formula.find('=');
  std::string response = formula.substr(0, std::min(equals, formula.size()));
  std::erase_if(response, [](char c) { return c == ' '; });
  if (response == "L") response = "loss";
  if (equals == std::string::npos || response.empty())
    throw UsageError(fmt::format("--law '{}': write L = ..., or another column in place of L", formula));
  const Expression expression(formula.substr(equals + 1), "--law");
  const Names names = names_of(expression, columns);
  if (names.variables.empty() || names.parameters.empty() || names.parameters.size() > kMaxParameters)
    throw UsageError(fmt::format(
        "--law '{}': {} columns ({}) and {} parameters; it takes a column at least, and 1 to {} parameters",
        formula, names.variables.size(), fmt::join(columns, ", "), names.parameters.size(), kMaxParameters));
  const FormulaForm::Formula loss = [expression, places = names.places](std::span<const Jet> p,
                                                                        std::span<const Jet> x) {
    std::vector<Jet> values;
    for (const Names::Place& place : places)
      values.push_back(place.is_variable ? x[place.index] : p[place.index]);
    return expression.evaluate_as<Jet>(values);
  };
  const std::vector<bool> is_coefficient =
      coefficients_of(loss, names.variables.size(), names.parameters.size());
  std::vector<ParameterRange> parameters;
  for (std::size_t i = 0; i < names.parameters.size(); ++i)
    parameters.push_back(
        {.name = names.parameters[i], .low = 0.01, .high = 10, .coefficient = is_coefficient[i]});
  for (const std::string& text : ranges) {
    const ParameterRange range = range_of(text);
    const auto found = std::ranges::find(parameters, range.name, &ParameterRange::name);
    if (found == parameters.end())
      throw UsageError(
          fmt::format("--start '{}': the parameters are {}", text, fmt::join(names.parameters, ", ")));
    *found = range;
  }
  const auto form = std::make_shared<FormulaForm>(static_cast<int>(names.variables.size()), parameters, loss);
  std::vector<Quantity> params;
  for (int i = 0; i < form->parameter_count(); ++i)
    params.push_back(
        {form->parameter_name(i), [form, i](const Vector& theta) { return form->value_of(theta, i); }});
  return {formula, formula, "the command line", names.variables, form, std::move(params), {}, response};
}

}  // namespace loglog::fit
