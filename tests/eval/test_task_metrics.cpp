#include "eval/task_metrics.hpp"

#include <cmath>
#include <map>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::eval;

namespace {

// An answer of one token with this probability, and so many bytes of text.
AnswerScore answer(double probability, std::size_t bytes) {
  return {{static_cast<float>(std::log(probability))}, bytes};
}

std::map<std::string, Metric> by_name(const std::vector<Metric>& metrics) {
  std::map<std::string, Metric> result;
  for (const Metric& m : metrics) result.emplace(m.name, m);
  return result;
}

}  // namespace

TEST_CASE("edit distances") {
  const auto distance = [](std::vector<Token> a, std::vector<Token> b) { return edit_distance(a, b); };
  CHECK(distance({}, {}) == 0);
  CHECK(distance({1, 2, 3}, {1, 2, 3}) == 0);
  CHECK(distance({}, {4, 5}) == 2);
  CHECK(distance({1, 2, 3}, {2, 3}) == 1);
  CHECK(distance({1, 2, 3}, {1, 9, 3}) == 1);
  CHECK(distance({'k', 'i', 't', 't', 'e', 'n'}, {'s', 'i', 't', 't', 'i', 'n', 'g'}) == 3);
  CHECK(distance({1, 2, 3, 4}, {4, 1, 2, 3}) == 2);
}

TEST_CASE("scores of probabilities") {
  CHECK(brier_score(std::vector<double>{0.7, 0.2, 0.1}, 0) == Approx(0.09 + 0.04 + 0.01));
  CHECK(brier_score(std::vector<double>{0.7, 0.2, 0.1}, 2) == Approx(0.49 + 0.04 + 0.81));
  CHECK(brier_score(std::vector<double>{1, 0}, 0) == 0);
  // Two bins: 0.85 and 0.89 with one right of two, 0.31 wrong.
  const Answer answers[] = {{0.85, true}, {0.31, false}, {0.89, false}};
  CHECK(calibration_error(answers) == Approx((std::abs(1 - 1.74) + 0.31) / 3));
  const Answer sure[] = {{1.0, true}, {1.0, true}};
  CHECK(calibration_error(sure) == 0);
  CHECK(std::isnan(calibration_error({})));
}

TEST_CASE("metrics of multiple choice") {
  // The right answer is the second of both; by sums the first item is wrong, by bytes right.
  const std::vector<ItemScore> items = {{1, {answer(0.4, 1), answer(0.2, 4)}, 1, {}, {}},
                                        {2, {answer(0.1, 1), answer(0.3, 1), answer(0.2, 1)}, 1, {}, {}}};
  const auto m = by_name(task_metrics(items, TaskKind::multiple_choice));
  CHECK(m.at("accuracy").value == 0.5);
  CHECK(m.at("accuracy_per_byte").value == 1.0);
  CHECK(m.at("chance").value == Approx((1.0 / 2 + 1.0 / 3) / 2));
  CHECK(m.at("probability").value == Approx((1.0 / 3 + 0.5) / 2));
  const double brier = 2 * std::pow(2.0 / 3, 2) + (std::pow(1.0 / 6, 2) + 0.25 + std::pow(1.0 / 3, 2));
  CHECK(m.at("brier").value == Approx(brier / 2));
  CHECK(m.at("rank").value == 1.5);
  CHECK(m.at("log_prob").value == Approx((std::log(0.2) + std::log(0.3)) / 2));
  CHECK(m.at("log_prob_per_byte").value == Approx((std::log(0.2) / 4 + std::log(0.3)) / 2));
  // Confidence 2/3 and wrong, 1/2 and right.
  CHECK(m.at("calibration_error").value == Approx((2.0 / 3 + 0.5) / 2));
  CHECK(m.at("accuracy").low == 0);
  CHECK(m.at("accuracy").high == 1);
  CHECK_FALSE(m.contains("exact_match"));
}

TEST_CASE("metrics of exact match, of tokens without text") {
  const AnswerScore target{{std::log(0.5f), std::log(0.25f)}, 0};
  const std::vector<ItemScore> items = {{1, {target}, 0, {7, 8}, {7, 8}}, {2, {target}, 0, {7, 8}, {8, 7}}};
  const auto m = by_name(task_metrics(items, TaskKind::exact_match));
  CHECK(m.at("exact_match").value == 0.5);
  CHECK(m.at("edit_distance").value == 1);
  CHECK(m.at("edit_share").value == 0.5);
  CHECK(m.at("token_probability").value == Approx(0.375));
  CHECK(m.at("log_prob").value == Approx(std::log(0.125)));
  CHECK(m.at("log_prob_per_token").value == Approx(std::log(0.125) / 2));
  CHECK_FALSE(m.contains("log_prob_per_byte"));
  CHECK_FALSE(m.contains("calibration_error"));
}

TEST_CASE("intervals are those of resampled items") {
  // 300 of 1000 right: the percentiles of a binomial share, 0.3 +- 1.96 * 0.01449; those of 4,000 resamples are off by a few
  // hundredths of that.
  std::vector<ItemScore> items;
  for (std::size_t i = 0; i < 1000; ++i)
    items.push_back({i, {answer(i % 10 < 3 ? 0.6 : 0.2, 1), answer(0.4, 1)}, 0, {}, {}});
  const auto m = by_name(task_metrics(items, TaskKind::multiple_choice, 3, 4000));
  CHECK(m.at("accuracy").value == Approx(0.3));
  CHECK(m.at("accuracy").low == Approx(0.3 - 1.96 * 0.01449).margin(0.003));
  CHECK(m.at("accuracy").high == Approx(0.3 + 1.96 * 0.01449).margin(0.003));
  CHECK(m.at("chance").low == 0.5);
  const auto low = [&](std::uint64_t seed) {
    return by_name(task_metrics(items, TaskKind::multiple_choice, seed, 30)).at("brier").low;
  };
  CHECK(low(5) == low(5));
  CHECK((low(5) != low(6) || low(5) != low(7)));
  const auto single = by_name(task_metrics(std::span(items).first(1), TaskKind::multiple_choice));
  CHECK(std::isnan(single.at("accuracy").low));
  CHECK_THROWS_AS(task_metrics({}, TaskKind::multiple_choice), ContractError);
}
