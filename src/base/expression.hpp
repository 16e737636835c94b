// Arithmetic formulas that users write, such as "0.02 * (N / 12288)^-0.4".
//
//   expression  or-terms of and-terms of comparisons of sums; lowest first:
//               or   and   < <= > >= ==   + -   * /   unary -   ^ (right-associative)
//   operands    numbers (1e6), names of variables (letters, digits, _ and .), parentheses, functions
//   functions   sqrt exp log log2 log10 abs floor ceil round (one argument), min max (two)
//
// Comparisons, `and` and `or` give 1 or 0, so that a product with them selects: 1 + 2 * (N < 6e4).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
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

  // The same on another kind of number: one that is made from a double, has the operators and functions of a double, found by their
  // arguments, and plain(x), its value as a double.
  template <class Number>
  Number evaluate_as(std::span<const Number> values) const;

 private:
  struct Parser;
  enum class Op {
    number,
    variable,
    negate,
    sqrt,
    exp,
    log,
    log2,
    log10,
    abs,
    floor,
    ceil,
    round,
    either,
    both,
    at_most,
    at_least,
    equal,
    less,
    greater,
    add,
    subtract,
    multiply,
    divide,
    power,
    min,
    max,
  };
  static constexpr Op kFirstOfTwo = Op::either;  // operations of two values
  struct Instruction {                           // of a stack machine
    Op op;
    double number = 0;
    std::size_t variable = 0;
  };
  template <class Number>
  static Number apply(Op op, const Number& x);
  template <class Number>
  static Number apply(Op op, const Number& x, const Number& y);

  std::string text_;
  std::vector<std::string> variables_;
  std::vector<Instruction> program_;
};

inline double plain(double x) {
  return x;
}

template <class Number>
Number Expression::apply(Op op, const Number& x) {
  using std::abs, std::exp, std::log, std::sqrt;
  switch (op) {
    case Op::negate:
      return -x;
    case Op::sqrt:
      return sqrt(x);
    case Op::exp:
      return exp(x);
    case Op::log:
      return log(x);
    case Op::abs:
      return plain(x) < 0 ? -x : x;
    case Op::floor:
      return Number(std::floor(plain(x)));
    case Op::ceil:
      return Number(std::ceil(plain(x)));
    case Op::round:
      return Number(std::round(plain(x)));
    case Op::log2:
      return log(x) / Number(std::numbers::ln2);
    default:  // log10
      return log(x) / Number(std::numbers::ln10);
  }
}

template <class Number>
Number Expression::apply(Op op, const Number& x, const Number& y) {
  using std::pow;
  const double a = plain(x), b = plain(y);
  switch (op) {
    case Op::either:
      return Number(a != 0 || b != 0 ? 1.0 : 0.0);
    case Op::both:
      return Number(a != 0 && b != 0 ? 1.0 : 0.0);
    case Op::at_most:
      return Number(a <= b ? 1.0 : 0.0);
    case Op::at_least:
      return Number(a >= b ? 1.0 : 0.0);
    case Op::equal:
      return Number(a == b ? 1.0 : 0.0);
    case Op::less:
      return Number(a < b ? 1.0 : 0.0);
    case Op::greater:
      return Number(a > b ? 1.0 : 0.0);
    case Op::add:
      return x + y;
    case Op::subtract:
      return x - y;
    case Op::multiply:
      return x * y;
    case Op::divide:
      return x / y;
    case Op::power:
      return pow(x, y);
    case Op::min:
      return b < a ? y : x;
    default:  // max
      return a < b ? y : x;
  }
}

template <class Number>
Number Expression::evaluate_as(std::span<const Number> values) const {
  std::vector<Number> stack;
  stack.reserve(program_.size());
  for (const Instruction& step : program_) {
    if (step.op == Op::number) {
      stack.push_back(Number(step.number));
    } else if (step.op == Op::variable) {
      stack.push_back(values[step.variable]);
    } else if (step.op < kFirstOfTwo) {
      stack.back() = apply(step.op, stack.back());
    } else {
      const Number right = stack.back();
      stack.pop_back();
      stack.back() = apply(step.op, stack.back(), right);
    }
  }
  return stack.back();
}

}  // namespace loglog
