#include "infer/sampler.hpp"

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using infer::Sampler;
using infer::Sampling;

namespace {

const std::vector<float> kLogits = {0.3f, -1.2f, 2.0f, 1.1f, -0.4f, 1.9f};  // 2, 5, 3, 0, 4, 1 by probability

std::vector<double> softmax(double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (const float x : kLogits) p.push_back(std::exp(double(x) / temperature)), sum += p.back();
  for (double& x : p) x /= sum;
  return p;
}

// Draws n times and sums (seen - expected)^2 / expected.
double chi_square(const Sampling& sampling, const std::vector<double>& expected, int n) {
  Sampler sampler(sampling);
  std::vector<int> seen(expected.size());
  for (int i = 0; i < n; ++i)
    ++seen[static_cast<std::size_t>(
        sampler.draw(kLogits, static_cast<std::uint64_t>(i % 7), static_cast<std::uint64_t>(i / 7)))];
  double sum = 0;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    if (expected[t] == 0) {
      REQUIRE(seen[t] == 0);
      continue;
    }
    sum += std::pow(seen[t] - n * expected[t], 2) / (n * expected[t]);
  }
  return sum;
}

// The distribution with all but `kept` tokens taken out.
std::vector<double> only(std::vector<double> p, const std::vector<std::size_t>& kept) {
  std::vector<double> result(p.size());
  double sum = 0;
  for (const std::size_t t : kept) sum += p[t];
  for (const std::size_t t : kept) result[t] = p[t] / sum;
  return result;
}

}  // namespace

// 99.9% points of chi-square: 20.515 (5 degrees of freedom), 13.816 (2), 10.828 (1). The seeds are fixed: these either hold or do not.
TEST_CASE("tokens come as often as their probabilities say") {
  const int n = 40000;
  CHECK(chi_square({.temperature = 1, .seed = 3}, softmax(1), n) < 20.515);
  CHECK(chi_square({.temperature = 0.6, .seed = 4}, softmax(0.6), n) < 20.515);
  CHECK(chi_square({.temperature = 3, .seed = 5}, softmax(3), n) < 20.515);
  CHECK(chi_square({.top_k = 3, .seed = 6}, only(softmax(1), {2, 5, 3}), n) < 13.816);
  // The two most probable have 0.41 and 0.37.
  CHECK(chi_square({.top_p = 0.7, .seed = 7}, only(softmax(1), {2, 5}), n) < 10.828);
  // k first: of three tokens, two hold 0.8 of what is left.
  CHECK(chi_square({.top_k = 3, .top_p = 0.8, .seed = 8}, only(softmax(1), {2, 5}), n) < 10.828);
  CHECK(chi_square({.temperature = 1.1, .seed = 3}, softmax(1), n) > 20.515);  // the test sees a tenth
}

TEST_CASE("what follows a draw does not depend on it") {
  Sampler sampler({.seed = 9});
  std::vector<int> seen(4);  // whether token 2 is drawn, now and next
  const int n = 20000;
  for (std::uint64_t s = 0; s < 2; ++s)
    for (std::uint64_t i = 0; i < n / 2; ++i)
      ++seen[static_cast<std::size_t>(2 * (sampler.draw(kLogits, s, i) == 2) +
                                      (sampler.draw(kLogits, s, i + 1) == 2))];
  const double p = softmax(1)[2];
  const double expected[] = {(1 - p) * (1 - p), (1 - p) * p, p * (1 - p), p * p};
  double sum = 0;
  for (std::size_t k = 0; k < 4; ++k) sum += std::pow(seen[k] - n * expected[k], 2) / (n * expected[k]);
  CHECK(sum < 16.266);  // 3 degrees of freedom
}

TEST_CASE("a draw is a function of logits, seed, sequence and index") {
  Sampler a({.seed = 2}), b({.seed = 2}), other({.seed = 3});
  int same = 0, same_sequence = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto token = a.draw(kLogits, 1, i);
    b.draw(kLogits, 5, i);
    REQUIRE(b.draw(kLogits, 1, i) == token);
    same += other.draw(kLogits, 1, i) == token;
    same_sequence += a.draw(kLogits, 2, i) == token;
  }
  CHECK(same < 120);  // by chance about 0.33 of 200
  CHECK(same_sequence < 120);
}

TEST_CASE("the ends of every option are the most probable token") {
  for (const Sampling& s : {Sampling{.temperature = 0}, Sampling{.top_k = 1}, Sampling{.top_p = 1e-12},
                            Sampling{.temperature = 1e-300}}) {
    Sampler sampler(s);
    for (std::uint64_t i = 0; i < 50; ++i) REQUIRE(sampler.draw(kLogits, 0, i) == 2);
  }
  CHECK(infer::most_probable(std::vector<float>{1, 3, 3, 2}) == 1);
}

TEST_CASE("equal logits rank by number") {
  const std::vector<float> equal(200, 1.5f);
  Sampler k({.top_k = 3});
  const auto kept = k.candidates(equal);
  REQUIRE(kept.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(kept[i].token == int(i));
    CHECK(kept[i].probability == Approx(1.0 / 3));
  }
  Sampler p({.top_p = 0.7525});  // of 200: 151 sum to 0.755
  CHECK(p.candidates(equal).size() == 151);
  CHECK(p.candidates(equal).back().token == 150);
}

TEST_CASE(
    "a nucleus holds the fewest tokens whose probabilities reach p, and k above the vocabulary is all") {
  Sampler sampler({.top_p = 0.5});
  const auto kept = sampler.candidates(kLogits);
  REQUIRE(kept.size() == 2);
  CHECK((kept[0].token == 2 && kept[1].token == 5));
  CHECK(kept[0].probability + kept[1].probability == Approx(1.0));
  Sampler all({.top_k = 100});
  CHECK(all.candidates(kLogits).size() == kLogits.size());
  // A range of logits that underflows: probability 0 is never drawn.
  const std::vector<float> far = {0.0f, -4000.0f};
  Sampler wide({.temperature = 1});
  for (std::uint64_t i = 0; i < 50; ++i) REQUIRE(wide.draw(far, 0, i) == 0);
}

TEST_CASE("logits that are not finite and options out of range are refused") {
  Sampler sampler({});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    try {
      sampler.draw(std::vector<float>{0, bad}, 0, 0);
      FAIL("drawn");
    } catch (const Error& error) {
      CHECK(error.exit_code == Exit::diverged);
      CHECK_THAT(error.what(), Catch::Contains("token 1"));
    }
    CHECK_THROWS_AS(infer::most_probable(std::vector<float>{bad}), Error);
  }
  for (const Sampling& s : {Sampling{.temperature = -1}, Sampling{.temperature = NAN}, Sampling{.top_k = -1},
                            Sampling{.top_p = 0}, Sampling{.top_p = 1.5}, Sampling{.top_p = NAN}})
    CHECK_THROWS_AS(Sampler(s), UsageError);
}
