#include "eval/task_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "base/stats.hpp"

namespace loglog::eval {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kBins = 10;

// One value per item.
struct Measured {
  std::string name;
  std::vector<double> values;
};

class Table {
 public:
  void put(const char* name, double value) {
    const auto found =
        std::find_if(columns_.begin(), columns_.end(), [&](const Measured& m) { return m.name == name; });
    if (found == columns_.end())
      columns_.push_back({name, {value}});
    else
      found->values.push_back(value);
  }
  const std::vector<Measured>& columns() const { return columns_; }

 private:
  std::vector<Measured> columns_;
};

double per(double log_prob, std::size_t count) {
  return log_prob / static_cast<double>(count);
}

// The best of the answers by a score; the first of several.
template <class Score>
std::size_t best(const std::vector<AnswerScore>& answers, Score&& score) {
  const auto worse = [&](const AnswerScore& a, const AnswerScore& b) { return score(a) < score(b); };
  return static_cast<std::size_t>(std::max_element(answers.begin(), answers.end(), worse) - answers.begin());
}

std::vector<double> shares(const std::vector<AnswerScore>& answers) {
  std::vector<double> p;
  for (const AnswerScore& a : answers) p.push_back(a.log_prob());
  const double highest = *std::max_element(p.begin(), p.end());
  for (double& x : p) x = std::exp(x - highest);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

void put_log_prob(Table& table, const AnswerScore& right, bool has_bytes) {
  const double log_prob = right.log_prob();
  table.put("log_prob", log_prob);
  table.put("log_prob_per_token", per(log_prob, right.token_log_probs.size()));
  if (has_bytes) table.put("log_prob_per_byte", per(log_prob, right.bytes));
}

Answer put_choice(Table& table, const ItemScore& item, bool has_bytes) {
  const std::size_t chosen = best(item.answers, [](const AnswerScore& a) { return a.log_prob(); });
  const std::vector<double> p = shares(item.answers);
  const AnswerScore& right = item.answers[item.right];
  std::size_t rank = 1;
  for (const AnswerScore& a : item.answers) rank += a.log_prob() > right.log_prob();
  table.put("accuracy", chosen == item.right);
  if (has_bytes) {
    const auto by_byte = [](const AnswerScore& a) { return per(a.log_prob(), a.bytes); };
    table.put("accuracy_per_byte", best(item.answers, by_byte) == item.right);
  }
  table.put("chance", 1.0 / static_cast<double>(p.size()));
  table.put("probability", p[item.right]);
  table.put("brier", brier_score(p, item.right));
  table.put("rank", static_cast<double>(rank));
  return {p[chosen], chosen == item.right};
}

void put_match(Table& table, const ItemScore& item) {
  const auto distance = static_cast<double>(edit_distance(item.output, item.target));
  table.put("exact_match", item.output == item.target);
  table.put("edit_distance", distance);
  table.put("edit_share", distance / static_cast<double>(item.target.size()));
  double sum = 0;
  for (const float log_prob : item.answers[0].token_log_probs) sum += std::exp(double(log_prob));
  table.put("token_probability", per(sum, item.target.size()));
}

// Percentiles of what the resamples give, number by number.
std::vector<Metric> with_intervals(const Table& table, std::span<const Answer> answers, std::uint64_t seed,
                                   int resamples) {
  constexpr std::uint64_t kStream = std::uint64_t{0x626f6f7473} << 20;
  const std::size_t items = table.columns().front().values.size();
  std::vector<std::vector<double>> resampled(table.columns().size() + 1);
  std::vector<std::size_t> drawn(items);
  std::vector<Answer> drawn_answers(answers.size());
  for (int b = 0; items > 1 && b < resamples; ++b) {
    const Rng rng(seed, kStream + static_cast<std::uint64_t>(b));
    for (std::size_t i = 0; i < items; ++i) drawn[i] = static_cast<std::size_t>(rng.below(i, items));
    for (std::size_t m = 0; m < table.columns().size(); ++m) {
      double sum = 0;
      for (const std::size_t i : drawn) sum += table.columns()[m].values[i];
      resampled[m].push_back(per(sum, items));
    }
    if (answers.empty()) continue;
    for (std::size_t i = 0; i < items; ++i) drawn_answers[i] = answers[drawn[i]];
    resampled.back().push_back(calibration_error(drawn_answers));
  }
  std::vector<Metric> metrics;
  const auto add = [&](const std::string& name, double value, const std::vector<double>& all) {
    metrics.push_back({name, value, quantile(all, 0.025), quantile(all, 0.975)});
  };
  for (std::size_t m = 0; m < table.columns().size(); ++m)
    add(table.columns()[m].name, mean(table.columns()[m].values), resampled[m]);
  if (!answers.empty()) add("calibration_error", calibration_error(answers), resampled.back());
  return metrics;
}

}  // namespace

std::vector<Metric> task_metrics(std::span<const ItemScore> items, TaskKind kind, std::uint64_t seed,
                                 int resamples) {
  LOGLOG_CHECK(!items.empty(), "no items");
  const bool has_bytes = std::ranges::all_of(items, [](const ItemScore& item) {
    return std::ranges::all_of(item.answers, [](const AnswerScore& a) { return a.bytes > 0; });
  });
  Table table;
  std::vector<Answer> answers;
  for (const ItemScore& item : items) {
    if (kind == TaskKind::multiple_choice)
      answers.push_back(put_choice(table, item, has_bytes));
    else
      put_match(table, item);
    put_log_prob(table, item.answers[item.right], has_bytes);
  }
  return with_intervals(table, answers, seed, resamples);
}

double brier_score(std::span<const double> probabilities, std::size_t right) {
  double sum = 0;
  for (std::size_t i = 0; i < probabilities.size(); ++i)
    sum += std::pow(probabilities[i] - (i == right ? 1.0 : 0.0), 2);
  return sum;
}

double calibration_error(std::span<const Answer> answers) {
  if (answers.empty()) return kNaN;
  double gap[kBins] = {};  // sum of right answers minus confidence
  for (const Answer& a : answers) {
    LOGLOG_CHECK(a.confidence >= 0 && a.confidence <= 1, "a confidence of {}", a.confidence);
    const auto bin = std::min(kBins - 1, static_cast<std::size_t>(a.confidence * kBins));
    gap[bin] += (a.right ? 1.0 : 0.0) - a.confidence;
  }
  double sum = 0;
  for (const double g : gap) sum += std::abs(g);
  return sum / static_cast<double>(answers.size());
}

// Row by row (Wagner & Fischer 1974).
std::size_t edit_distance(std::span<const Token> a, std::span<const Token> b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace loglog::eval
