#include "data/worlds/arithmetic.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::string_view kCharacters = "\n()*+,-0123456789=|";  // ascending: token i is character i

using Number = std::uint64_t;
using Settings = nlohmann::json;

Number whole(const Settings& settings, const char* name) {
  return settings.at(name).get<Number>();
}

std::string padded(Number value, std::size_t width) {
  return fmt::format("{:0{}}", value, width);
}

Number power_of_ten(Number exponent) {
  Number power = 1;
  for (Number i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// A difficulty, uniform in [low, high].
struct Range {
  Range(const Settings& settings, const char* low_name, const char* high_name)
      : low(whole(settings, low_name)), high(whole(settings, high_name)) {
    if (low > high) throw UsageError(fmt::format("{}={} is above {}={}", low_name, low, high_name, high));
  }
  Number draw(const Rng& rng, std::uint64_t index) const { return low + rng.below(index, high - low + 1); }
  double entropy() const { return std::log(static_cast<double>(high - low + 1)); }
  template <class Value>
  double mean(Value&& value) const {
    double sum = 0;
    for (Number n = low; n <= high; ++n) sum += value(n);
    return sum / static_cast<double>(high - low + 1);
  }
  Number low, high;
};

// Two numbers whose digits are drawn first, then every number of so many digits alike.
class Longhand : public ProblemKind {
 public:
  explicit Longhand(const Settings& settings) : digits_(settings, "low_digits", "digits") {}

  Problem make(const Rng& rng, std::uint64_t index) const override {
    const Number a_digits = digits_.draw(rng, index), b_digits = digits_.draw(rng, index + 1);
    const Number a = draw_number(rng, index + 2, a_digits), b = draw_number(rng, index + 3, b_digits);
    Problem problem = solve(a, b);
    problem.difficulty = std::max(a_digits, b_digits);
    return problem;
  }
  double question_entropy() const override {
    const auto of_one = [](Number n) { return std::log(static_cast<double>(numbers_of(n))); };
    return 2 * (digits_.entropy() + digits_.mean(of_one));
  }
  double mean_question_length() const override { return static_cast<double>(2 * width() + 1); }

 protected:
  std::size_t width() const { return digits_.high; }
  virtual Problem solve(Number a, Number b) const = 0;

 private:
  static Number numbers_of(Number digits) { return digits == 1 ? 10 : 9 * power_of_ten(digits - 1); }
  static Number draw_number(const Rng& rng, std::uint64_t index, Number digits) {
    return (digits == 1 ? 0 : power_of_ten(digits - 1)) + rng.below(index, numbers_of(digits));
  }
  Range digits_;
};

class Addition final : public Longhand {
 public:
  using Longhand::Longhand;
  double mean_work_length() const override { return static_cast<double>(3 * width() - 1); }
  std::size_t answer_length() const override { return width() + 1; }

 private:
  Problem solve(Number a, Number b) const override {
    std::vector<std::string> columns;
    Number carry = 0, x = a, y = b;
    for (std::size_t i = 0; i < width(); ++i, x /= 10, y /= 10) {
      const Number sum = x % 10 + y % 10 + carry;
      columns.push_back(padded(sum, 2));
      carry = sum / 10;
    }
    return {padded(a, width()) + "+" + padded(b, width()), fmt::format("{}", fmt::join(columns, ",")),
            padded(a + b, answer_length()), 0};
  }
};

class Multiplication final : public Longhand {
 public:
  using Longhand::Longhand;
  double mean_work_length() const override { return static_cast<double>(width() * (width() + 2) - 1); }
  std::size_t answer_length() const override { return 2 * width(); }

 private:
  Problem solve(Number a, Number b) const override {
    std::vector<std::string> rows;
    Number rest = b;
    for (std::size_t i = 0; i < width(); ++i, rest /= 10)
      rows.push_back(padded(a * (rest % 10), width() + 1));
    return {padded(a, width()) + "*" + padded(b, width()), fmt::format("{}", fmt::join(rows, ",")),
            padded(a * b, answer_length()), 0};
  }
};

class Modular final : public ProblemKind {
 public:
  explicit Modular(const Settings& settings)
      : modulus_(whole(settings, "modulus")),
        is_product_(whole(settings, "product") == 1),
        width_(fmt::format("{}", modulus_ - 1).size()) {}

  Problem make(const Rng& rng, std::uint64_t index) const override {
    const Number a = rng.below(index, modulus_), b = rng.below(index + 1, modulus_);
    const Number value = is_product_ ? a * b : a + b;
    return {padded(a, width_) + (is_product_ ? "*" : "+") + padded(b, width_), padded(value, work_width()),
            padded(value % modulus_, width_), width_};
  }
  double question_entropy() const override { return 2 * std::log(static_cast<double>(modulus_)); }
  double mean_question_length() const override { return static_cast<double>(2 * width_ + 1); }
  double mean_work_length() const override { return static_cast<double>(work_width()); }
  std::size_t answer_length() const override { return width_; }

 private:
  std::size_t work_width() const { return is_product_ ? 2 * width_ : width_ + 1; }
  Number modulus_;
  bool is_product_;
  std::size_t width_;
};

// A binary tree of k operations: of the others each number from 0 to k - 1 alike goes to the left side. The brackets say which, so
//   H(tree of k) = ln k + ln 3 + mean over j of [H(j) + H(k - 1 - j)],   H(0) = ln 10
class Expressions final : public ProblemKind {
 public:
  explicit Expressions(const Settings& settings)
      : operations_(settings, "low_operations", "operations"),
        modulus_(whole(settings, "modulus")),
        width_(fmt::format("{}", modulus_ - 1).size()) {}

  Problem make(const Rng& rng, std::uint64_t index) const override {
    const Number operations = operations_.draw(rng, index++);
    Tree tree{rng, index, {}, {}};
    const Number value = build(tree, operations);
    return {tree.text, fmt::format("{}", fmt::join(tree.values, ",")), padded(value, width_), operations};
  }
  double question_entropy() const override {
    std::vector<double> h = {std::log(10.0)};
    for (Number k = 1; k <= operations_.high; ++k) {
      double sum = 0;
      for (Number j = 0; j < k; ++j) sum += h[j] + h[k - 1 - j];
      h.push_back(std::log(3.0 * static_cast<double>(k)) + sum / static_cast<double>(k));
    }
    return operations_.entropy() + operations_.mean([&](Number k) { return h[k]; });
  }
  // Every operation has its sign, two brackets and one digit more.
  double mean_question_length() const override {
    return operations_.mean([](Number k) { return static_cast<double>(4 * k + 1); });
  }
  double mean_work_length() const override {
    return operations_.mean([&](Number k) { return static_cast<double>(k * (width_ + 1) - 1); });
  }
  std::size_t answer_length() const override { return width_; }

 private:
  struct Tree {
    const Rng& rng;
    std::uint64_t index;
    std::string text;
    std::vector<std::string> values;  // of the brackets, as they close
  };

  Number build(Tree& tree, Number operations) const {
    if (operations == 0) {
      const Number digit = tree.rng.below(tree.index++, 10);
      tree.text += std::to_string(digit);
      return digit % modulus_;
    }
    const Number left_operations = tree.rng.below(tree.index++, operations);
    const char sign = "+-*"[tree.rng.below(tree.index++, 3)];
    tree.text += '(';
    const Number left = build(tree, left_operations);
    tree.text += sign;
    const Number right = build(tree, operations - 1 - left_operations);
    tree.text += ')';
    const Number value = (sign == '+'   ? left + right
                          : sign == '-' ? left + modulus_ - right
                                        : left * right) %
                         modulus_;
    tree.values.push_back(padded(value, width_));
    return value;
  }

  Range operations_;
  Number modulus_;
  std::size_t width_;
};

template <class Kind>
std::unique_ptr<World> make(const Settings& settings, std::uint64_t) {
  return std::make_unique<ArithmeticWorld>(
      std::make_unique<Kind>(settings),
      ArithmeticWorld::Form{whole(settings, "scratchpad") == 1, whole(settings, "reversed") == 1});
}

std::vector<WorldParameter> with_form(std::vector<WorldParameter> parameters) {
  parameters.push_back({"scratchpad", 0, 0, 1, true, "1: the work stands before the answer"});
  parameters.push_back({"reversed", 0, 0, 1, true, "1: the answer's last digit first"});
  return parameters;
}

}  // namespace

std::vector<WorldKind> arithmetic_kinds() {
  const std::vector<WorldParameter> longhand = {{"digits", 3, 1, 9, true, "most digits of a number"},
                                                {"low_digits", 1, 1, 9, true, "and fewest"}};
  return {
      {"addition", "sums of numbers, answers aligned", with_form(longhand), &make<Addition>},
      {"multiplication", "products of numbers, answers aligned", with_form(longhand), &make<Multiplication>},
      {"modular", "sums or products modulo a number",
       with_form({{"modulus", 97, 2, 1e6, true, "the number"}, {"product", 0, 0, 1, true, "1: products"}}),
       &make<Modular>},
      {"expressions", "nested sums, differences and products of digits, modulo a number",
       with_form({{"operations", 4, 1, 16, true, "most operations of an expression"},
                  {"low_operations", 1, 1, 16, true, "and fewest"},
                  {"modulus", 10, 2, 1e6, true, "the number"}}),
       &make<Expressions>}};
}

std::uint64_t ArithmeticWorld::vocab_size() const {
  return kCharacters.size();
}

double ArithmeticWorld::entropy_rate() const {
  constexpr double kSigns = 2;  // "=" and the line end
  const double work = form_.scratchpad ? kind_->mean_work_length() + 1 : 0;
  const double length =
      kind_->mean_question_length() + work + static_cast<double>(kind_->answer_length()) + kSigns;
  return kind_->question_entropy() / length;
}

void ArithmeticWorld::log_probs(std::span<const Token>, std::span<double>) const {
  LOGLOG_CHECK(false, "asked for windows of a world that does not know them ({} characters)",
               kCharacters.size());
}

nlohmann::json ArithmeticWorld::header() const {
  const std::vector<Token> code_points(kCharacters.begin(), kCharacters.end());
  const auto line_end = kCharacters.find('\n');
  return {{"tokenizer", {{"kind", "chars"}, {"code_points", code_points}}},
          {"line_end", line_end},
          {"document_end", line_end}};
}

struct ArithmeticWorld::Line {
  Problem problem;
  std::string before;  // what stands before the answer
};

template <class Visit>
void ArithmeticWorld::for_each_line(const Rng& rng, std::uint64_t count, Visit&& visit) const {
  std::uint64_t written = 0;
  for (std::uint64_t i = 0; written < count; ++i) {
    Line line{kind_->make(rng, i * ProblemKind::kDraws), {}};
    line.before = line.problem.question + "=";
    if (form_.scratchpad) line.before += line.problem.work + "|";
    if (form_.reversed) std::reverse(line.problem.answer.begin(), line.problem.answer.end());
    visit(line, written);
    written += line.before.size() + line.problem.answer.size() + 1;
  }
}

void ArithmeticWorld::generate(const Rng& rng, std::uint64_t count,
                               const std::function<void(Token)>& emit) const {
  for_each_line(rng, count, [&](const Line& line, std::uint64_t) {
    for (const char c : line.before + line.problem.answer + '\n')
      emit(static_cast<Token>(kCharacters.find(c)));
  });
}

void ArithmeticWorld::tell_truth(const Rng& rng, std::uint64_t count,
                                 const std::function<void(const nlohmann::json&)>& tell) const {
  for_each_line(rng, count, [&](const Line& line, std::uint64_t begin) {
    const std::uint64_t answer = begin + line.before.size();
    tell({{"begin", begin},
          {"question", line.problem.question},
          {"answer", line.problem.answer},
          {"answer_begin", answer},
          {"answer_end", answer + line.problem.answer.size()},
          {"difficulty", line.problem.difficulty}});
  });
}

}  // namespace loglog::data
