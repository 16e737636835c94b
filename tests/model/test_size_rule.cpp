#include "model/size_rule.hpp"

#include <cmath>

#include "model/count.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::model;

TEST_CASE("rules by hand") {
  ModelConfig m{.layers = 2, .width = 32, .heads = 2, .context = 128, .vocab = 256};
  REQUIRE(count_parameters(m).n_nonemb == 24576);
  const SizeRule bytes = apply_size_rule("bytes", m, 4e6);
  REQUIRE(bytes.batch == 6);  // 512 x 1.6^0.85 = 763 tokens
  REQUIRE(bytes.lr == Approx(0.0073 * std::sqrt(6 * 128 / 1024.0)));
  const SizeRule porian = apply_size_rule("porian", m, 4e6);
  REQUIRE(porian.lr == Approx(3.7 * std::pow(24576 + 32 * 256, -0.36)));
  REQUIRE(porian.batch == 9);  // 3.7e-4 x 32768^0.703 = 0.5527 sequences of 2048, 1132 tokens
}

TEST_CASE("a resolved configuration has what its rule said, and no rule any more") {
  RunConfig c;
  c.model = {.layers = 2, .width = 32, .heads = 2, .context = 128};
  c.train.size_rule = "bytes";
  c.train.tokens = 4'000'000;
  c.train.lr = 1;
  c.train.min_lr = 0.1;
  resolve(c, 256);
  const SizeRule rule = apply_size_rule("bytes", c.model, 4e6);
  REQUIRE(c.train.lr == rule.lr);
  REQUIRE(c.train.min_lr == Approx(rule.lr / 10));
  REQUIRE(c.train.batch == rule.batch);
  REQUIRE(c.train.steps == 5209);  // 4e6 / (6 x 128), rounded up
  RunConfig again = c;
  resolve(again, 256);
  REQUIRE(again == c);
}
