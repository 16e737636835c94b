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

}  // namespace

// Recursive descent that emits code for a stack machine as it goes.
struct Expression::Parser {
  struct Named {
    std::string_view name;
    Op op;
  };
  static constexpr Named kFunctions[] = {
      {"sqrt", Op::sqrt},   {"exp", Op::exp}, {"log", Op::log},     {"log2", Op::log2},
      {"log10", Op::log10}, {"abs", Op::abs}, {"floor", Op::floor}, {"ceil", Op::ceil},
      {"round", Op::round}, {"min", Op::min}, {"max", Op::max},
  };
  // Levels of precedence, lowest first. Within a level longer symbols come before their prefixes.
  static const std::vector<std::vector<Named>>& levels() {
    static const std::vector<std::vector<Named>> list = {
        {{"or", Op::either}},
        {{"and", Op::both}},
        {{"<=", Op::at_most}, {">=", Op::at_least}, {"==", Op::equal}, {"<", Op::less}, {">", Op::greater}},
        {{"+", Op::add}, {"-", Op::subtract}},
        {{"*", Op::multiply}, {"/", Op::divide}},
    };
    return list;
  }

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
      for (const Named& op : levels()[level]) {
        if (!accept(op.name)) continue;
        binary(level + 1);
        out.program_.push_back({.op = op.op});
        found = true;
        break;
      }
    }
  }

  void unary() {
    if (++depth > kMaxDepth) fail("fewer nested operations");
    if (accept("-")) {
      unary();
      out.program_.push_back({.op = Op::negate});
    } else {
      operand();
      if (accept("^")) {  // binds tighter than a minus on its left, looser than one on its right
        unary();
        out.program_.push_back({.op = Op::power});
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
      out.program_.push_back({.op = Op::number, .number = number});
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
                                       [&](const Named& f) { return f.name == name; });
    if (function == std::end(kFunctions)) {
      rest = before;
      fail("a function (sqrt exp log log2 log10 abs floor ceil round min max)");
    }
    binary(0);
    if (function->op >= kFirstOfTwo) {
      expect(",");
      binary(0);
    }
    expect(")");
    out.program_.push_back({.op = function->op});
    return true;
  }

  void variable(const std::string& name) {
    auto& names = out.variables_;
    const auto known = std::find(names.begin(), names.end(), name);
    out.program_.push_back({.op = Op::variable, .variable = static_cast<std::size_t>(known - names.begin())});
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
  return evaluate_as(values);
}

}  // namespace loglog
