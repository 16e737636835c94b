// Arithmetic formulas that users write, such as "0.02 * (N / 12288)^-0.4".
//
//   expression  or-terms of and-terms of comparisons of sums; lowest first:
//               or   and   < <= > >= ==   + -   * /   unary -   ^ (right-associative)
//   operands    numbers (1e6), names of variables (letters, digits, _ and .), parentheses, functions
//   functions   sqrt exp log log2 log10 abs floor ceil round (one argument), min max (two)
//
// Comparisons, `and` and `or` give 1 or 0, so that a product with them selects: 1 + 2 * (N < 6e4).
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace loglog {

// A parsed formula. Immutable; evaluation has no state and may run in several threads.
class Expression {
 public:
  // UsageError with `where`, the text and the position of the mistake.
  Expression(std::string_view text, std::string_view where);

  const std::string& text() const noexcept { return text_; }
  // Every variable once, in order of first use.
  const std::vector<std::string>& variables() const noexcept { return variables_; }

  // values[i] belongs to variables()[i]. Plain double arithmetic: 1/0 is inf, log(-1) is NaN.
  double evaluate(std::span<const double> values) const;

 private:
  struct Parser;
  struct Instruction {  // of a stack machine: a function of one or two values, else a variable, else a number
    double number = 0;
    std::ptrdiff_t variable = -1;
    double (*one)(double) = nullptr;
    double (*two)(double, double) = nullptr;
  };
  std::string text_;
  std::vector<std::string> variables_;
  std::vector<Instruction> program_;
};

}  // namespace loglog
