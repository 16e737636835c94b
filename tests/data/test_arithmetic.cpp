// Arithmetic: every line of every kind worked out again, work and answer aligned, entropies by counting.
#include "data/worlds/arithmetic.hpp"

#include <map>
#include <sstream>

#include "base/check.hpp"
#include "base/error.hpp"
#include "data/text_codec.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "world_checks.hpp"

using namespace loglog;
using namespace loglog::data;

namespace {

std::unique_ptr<World> world_of(const char* name, const std::vector<std::string>& settings) {
  const WorldKind& kind = find_world(name);
  return kind.make(resolve_parameters(kind, settings), 1);
}

std::vector<std::string> lines_of(const World& world, std::uint64_t tokens) {
  const auto codec = make_codec(world.header()["tokenizer"]);
  std::istringstream text(decoded(*codec, text_of_world(world, tokens)));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// Value of an expression modulo m and the values of its brackets as they close, by the schoolbook.
std::int64_t work_out(const std::string& text, std::size_t& at, std::int64_t m,
                      std::vector<std::int64_t>& values) {
  if (text[at] != '(') return (text[at++] - '0') % m;
  ++at;
  const std::int64_t left = work_out(text, at, m, values);
  const char sign = text[at++];
  const std::int64_t right = work_out(text, at, m, values);
  REQUIRE(text[at++] == ')');
  const std::int64_t value = sign == '+' ? left + right : sign == '-' ? left - right : left * right;
  values.push_back((value % m + m) % m);
  return values.back();
}

std::vector<std::int64_t> numbers_in(const std::string& list) {
  std::vector<std::int64_t> numbers;
  std::istringstream in(list);
  for (std::string number; std::getline(in, number, ',');) numbers.push_back(std::stoll(number));
  return numbers;
}

struct Parts {
  std::string question, work, answer;
};

Parts parts_of(const std::string& line, bool scratchpad, bool reversed) {
  const std::size_t equal = line.find('='), bar = line.find('|');
  REQUIRE((bar != std::string::npos) == scratchpad);
  Parts parts{line.substr(0, equal), scratchpad ? line.substr(equal + 1, bar - equal - 1) : "",
              line.substr((scratchpad ? bar : equal) + 1)};
  if (reversed) parts.answer = {parts.answer.rbegin(), parts.answer.rend()};
  return parts;
}

}  // namespace

TEST_CASE("every line is right, its answer stands at the same place, and its work is what leads there") {
  const bool scratchpad = GENERATE(false, true), reversed = GENERATE(false, true);
  const std::vector<std::string> form = {scratchpad ? "scratchpad=1" : "scratchpad=0",
                                         reversed ? "reversed=1" : "reversed=0"};
  for (const char* name : {"addition", "multiplication", "modular"}) {
    CAPTURE(name, scratchpad, reversed);
    std::vector<std::string> settings = form;
    if (name != std::string("modular")) settings.insert(settings.end(), {"digits=3", "low_digits=2"});
    const auto world = world_of(name, settings);
    const std::vector<std::string> lines = lines_of(*world, 20000);
    for (const std::string& line : lines) {
      REQUIRE(line.size() == lines[0].size());
      const auto [question, work, answer] = parts_of(line, scratchpad, reversed);
      const std::size_t sign = question.find_first_of("+*");
      const std::int64_t a = std::stoll(question.substr(0, sign)), b = std::stoll(question.substr(sign + 1));
      const bool product = question[sign] == '*', modular = name == std::string("modular");
      REQUIRE(product == (name == std::string("multiplication")));
      const std::int64_t value = product ? a * b : a + b;
      REQUIRE(std::stoll(answer) == (modular ? value % 97 : value));
      if (modular) REQUIRE((a < 97 && b < 97));
      if (!modular) REQUIRE((a >= 10 && a < 1000 && b >= 10 && b < 1000));
      if (!scratchpad) continue;
      const std::vector<std::int64_t> numbers = numbers_in(work);
      std::int64_t rest = b, sum = 0, place = 1;
      if (modular) {
        REQUIRE(numbers == std::vector<std::int64_t>{value});
      } else if (product) {
        for (const std::int64_t row : numbers) {
          REQUIRE(row == a * (rest % 10));
          sum += place * row;
          rest /= 10;
          place *= 10;
        }
        REQUIRE(sum == value);
      } else {
        REQUIRE(numbers.size() == 3);
        for (const std::int64_t column : numbers) {
          sum += place * (column % 10);
          place *= 10;
        }
        REQUIRE(sum + place * (numbers.back() / 10) == value);
      }
    }
  }
}

TEST_CASE("every expression has the value that its brackets give, one after the other") {
  const auto world =
      world_of("expressions", {"operations=6", "low_operations=2", "modulus=31", "scratchpad=1"});
  std::map<std::size_t, int> operations;
  for (const std::string& line : lines_of(*world, 60000)) {
    const auto [question, work, answer] = parts_of(line, true, false);
    std::size_t at = 0;
    std::vector<std::int64_t> values;
    const std::int64_t value = work_out(question, at, 31, values);
    REQUIRE(at == question.size());
    REQUIRE(std::stoll(answer) == value);
    REQUIRE(answer.size() == 2);
    REQUIRE(numbers_in(work) == values);
    ++operations[values.size()];
  }
  REQUIRE(operations.size() == 5);
  REQUIRE(operations.begin()->first == 2);
}

// Where questions are few, all of them are seen, as often as each other within chance: their entropy is that of the counts.
TEST_CASE("the entropy rate is that of the questions over the length of a line") {
  struct Case {
    const char* name;
    std::vector<std::string> settings;
    double questions;  // equally likely
  };
  const std::vector<Case> cases = {{"addition", {"digits=1"}, 100},
                                   {"multiplication", {"digits=1", "scratchpad=1"}, 100},
                                   {"modular", {"modulus=9"}, 81},
                                   {"expressions", {"operations=1", "reversed=1"}, 300}};
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto world = world_of(c.name, c.settings);
    const std::vector<std::string> lines = lines_of(*world, 400000);
    std::map<std::string, double> counts;
    double length = 0;
    for (const std::string& line : lines) ++counts[line], length += static_cast<double>(line.size() + 1);
    length /= static_cast<double>(lines.size());
    REQUIRE(static_cast<double>(counts.size()) == c.questions);
    const double expected = static_cast<double>(lines.size()) / c.questions;
    for (const auto& [line, count] : counts) REQUIRE(std::abs(count - expected) < 6 * std::sqrt(expected));
    CHECK(world->entropy_rate() == Approx(std::log(c.questions) / length).epsilon(1e-12));
  }
}

TEST_CASE("with several sizes, sizes are alike and so are the questions of one") {
  const auto world = world_of("addition", {"digits=2", "low_digits=1"});
  const std::vector<std::string> lines = lines_of(*world, 1'000'000);
  std::map<std::string, double> counts;  // of the first number
  for (const std::string& line : lines) ++counts[line.substr(0, 2)];
  REQUIRE(counts.size() == 100);
  double entropy_of_counts = 0;
  for (const auto& [number, count] : counts) {
    const double p = 0.5 / (std::stoi(number) < 10 ? 10 : 90);
    REQUIRE(std::abs(count / static_cast<double>(lines.size()) - p) <
            6 * std::sqrt(p / static_cast<double>(lines.size())));
    entropy_of_counts -= p * std::log(p);
  }
  CHECK(world->entropy_rate() == Approx(2 * entropy_of_counts / (2 + 1 + 2 + 1 + 3 + 1)).epsilon(1e-12));
  // Of trees with two operations: two shapes, nine pairs of signs, a thousand digits; with one: 300.
  const auto trees = world_of("expressions", {"operations=2"});
  const double h = std::log(2.0) + (std::log(300.0) + std::log(2.0 * 9 * 1000)) / 2;
  CHECK(trees->entropy_rate() == Approx(h / ((5 + 9) / 2.0 + 1 + 1 + 1)).epsilon(1e-12));
}

TEST_CASE("the truth names each line's answer by its tokens") {
  const auto world = world_of("expressions", {"scratchpad=1", "reversed=1"});
  const std::vector<Token> text = text_of_world(*world, 5000);
  const auto codec = make_codec(world->header()["tokenizer"]);
  std::uint64_t expected_begin = 0;
  const auto text_at = [&](std::uint64_t begin, std::uint64_t end) {
    return decoded(*codec, std::span(text).subspan(begin, end - begin));
  };
  world->tell_truth(Rng(3, 3), 5000, [&](const nlohmann::json& line) {
    const std::uint64_t begin = line.at("begin"), answer = line.at("answer_begin"),
                        end = line.at("answer_end");
    REQUIRE(begin == expected_begin);
    const auto question = line.at("question").get<std::string>();
    REQUIRE(text_at(begin, begin + question.size() + 1) == question + "=");
    REQUIRE(text_at(answer - 1, answer) == "|");
    REQUIRE(text_at(answer, end + 1) == line.at("answer").get<std::string>() + "\n");
    REQUIRE(line.at("difficulty") == std::count(question.begin(), question.end(), '('));
    expected_begin = end + 1;
  });
  REQUIRE(expected_begin == text.size());
}

TEST_CASE("ranges the wrong way round are refused, and windows are not known") {
  CHECK_THROWS_AS(world_of("addition", {"digits=2", "low_digits=3"}), UsageError);
  CHECK_THROWS_AS(world_of("expressions", {"operations=2", "low_operations=3"}), UsageError);
  const auto world = world_of("modular", {});
  CHECK_FALSE(world->knows_windows());
  std::vector<double> out(1);
  CHECK_THROWS_AS(world->log_probs(std::vector<Token>{0}, out), ContractError);
}
