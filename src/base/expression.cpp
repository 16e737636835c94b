#include "base/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog {
namespace {

constexpr int kMaxDepth = 100;  // of parentheses: the parser recurses

bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_name(char c) {
  return is_name_start(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.';
}

struct Function {
  std::string_view name;
  double (*one)(double);
  double (*two)(double, double);
};

constexpr Function kFunctions[] = {
    {"sqrt", [](double x) { return std::sqrt(x); }, nullptr},
    {"exp", [](double x) { return std::exp(x); }, nullptr},
    {"log", [](double x) { return std::log(x); }, nullptr},
    {"log2", [](double x) { return std::log2(x); }, nullptr},
    {"log10", [](double x) { return std::log10(x); }, nullptr},
    {"abs", [](double x) { return std::abs(x); }, nullptr},
    {"floor", [](double x) { return std::floor(x); }, nullptr},
    {"ceil", [](double x) { return std::ceil(x); }, nullptr},
    {"round", [](double x) { return std::round(x); }, nullptr},
    {"min", nullptr, [](double x, double y) { return std::min(x, y); }},
    {"max", nullptr, [](double x, double y) { return std::max(x, y); }},
};

struct Operator {
  std::string_view symbol;
  double (*apply)(double, double);
};

// Levels of precedence, lowest first. Within a level longer symbols come before their prefixes.
const std::vector<std::vector<Operator>>& levels() {
  static const std::vector<std::vector<Operator>> list = {
      {{"or", [](double x, double y) { return x != 0 || y != 0 ? 1.0 : 0.0; }}},
      {{"and", [](double x, double y) { return x != 0 && y != 0 ? 1.0 : 0.0; }}},
      {{"<=", [](double x, double y) { return x <= y ? 1.0 : 0.0; }},
       {">=", [](double x, double y) { return x >= y ? 1.0 : 0.0; }},
       {"==", [](double x, double y) { return x == y ? 1.0 : 0.0; }},
       {"<", [](double x, double y) { return x < y ? 1.0 : 0.0; }},
       {">", [](double x, double y) { return x > y ? 1.0 : 0.0; }}},
      {{"+", [](double x, double y) { return x + y; }}, {"-", [](double x, double y) { return x - y; }}},
      {{"*", [](double x, double y) { return x * y; }}, {"/", [](double x, double y) { return x / y; }}},
  };
  return list;
}

}  // namespace

// Recursive descent that emits code for a stack machine as it goes.
struct Expression::Parser {
  Expression& out;
  std::string_view where;
  std::string_view rest;
  int depth = 0;

  [[noreturn]] void fail(std::string_view expected) const {
    throw UsageError(fmt::format("{}: '{}': expected {} at position {}", where, out.text_, expected,
                                 out.text_.size() - rest.size() + 1));
  }

  void skip_space() {
    while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front())) != 0)
      rest.remove_prefix(1);
  }

  bool accept(std::string_view symbol) {
    skip_space();
    if (!rest.starts_with(symbol)) return false;
    const bool inside_word =
        is_name_start(symbol.front()) && rest.size() > symbol.size() && is_name(rest[symbol.size()]);
    if (inside_word) return false;
    rest.remove_prefix(symbol.size());
    return true;
  }

  void expect(std::string_view symbol) {
    if (!accept(symbol)) fail(fmt::format("'{}'", symbol));
  }

  void binary(std::size_t level) {
    if (level == levels().size()) return unary();
    binary(level + 1);
    for (bool found = true; found;) {
      found = false;
      for (const Operator& op : levels()[level]) {
        if (!accept(op.symbol)) continue;
        binary(level + 1);
        out.program_.push_back({.two = op.apply});
        found = true;
        break;
      }
    }
  }

  void unary() {
    if (++depth > kMaxDepth) fail("fewer nested operations");
    if (accept("-")) {
      unary();
      out.program_.push_back({.one = [](double x) { return -x; }});
    } else {
      operand();
      if (accept("^")) {  // binds tighter than a minus on its left, looser than one on its right
        unary();
        out.program_.push_back({.two = [](double x, double y) { return std::pow(x, y); }});
      }
    }
    --depth;
  }

  void operand() {
    skip_space();
    if (accept("(")) {
      binary(0);
      return expect(")");
    }
    double number = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (parsed.ec == std::errc() && !is_name_start(rest.front())) {
      rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
      out.program_.push_back({.number = number});
      return;
    }
    if (rest.empty() || !is_name_start(rest.front())) fail("a number, a name or '('");
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_name);
    const std::string name(rest.begin(), end);
    if (!call(name)) {
      rest.remove_prefix(name.size());
      variable(name);
    }
  }

  // False when no '(' follows the name: then it is a variable, whatever it is called.
  bool call(const std::string& name) {
    const std::string_view before = rest;
    rest.remove_prefix(name.size());
    if (!accept("(")) {
      rest = before;
      return false;
    }
    const auto function = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                       [&](const Function& f) { return f.name == name; });
    if (function == std::end(kFunctions)) {
      rest = before;
      fail("a function (sqrt exp log log2 log10 abs floor ceil round min max)");
    }
    binary(0);
    if (function->two != nullptr) {
      expect(",");
      binary(0);
    }
    expect(")");
    out.program_.push_back({.one = function->one, .two = function->two});
    return true;
  }

  void variable(const std::string& name) {
    auto& names = out.variables_;
    const auto known = std::find(names.begin(), names.end(), name);
    out.program_.push_back({.variable = known - names.begin()});
    if (known == names.end()) names.push_back(name);
  }
};

Expression::Expression(std::string_view text, std::string_view where) : text_(text) {
  Parser parser{*this, where, text_};
  parser.binary(0);
  parser.skip_space();
  if (!parser.rest.empty()) parser.fail("an operator or the end");
}

double Expression::evaluate(std::span<const double> values) const {
  LOGLOG_CHECK(values.size() == variables_.size(), "'{}' has {} variables, got {} values", text_,
               variables_.size(), values.size());
  std::vector<double> stack;
  stack.reserve(program_.size());
  for (const Instruction& step : program_) {
    if (step.two != nullptr) {
      const double right = stack.back();
      stack.pop_back();
      stack.back() = step.two(stack.back(), right);
    } else if (step.one != nullptr) {
      stack.back() = step.one(stack.back());
    } else {
      stack.push_back(step.variable >= 0 ? values[static_cast<std::size_t>(step.variable)] : step.number);
    }
  }
  return stack.back();
}

}  // namespace loglog
